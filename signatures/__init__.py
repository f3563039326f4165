"""Rules of attack techniques with their samples, and the engine that matches them in one pass."""
