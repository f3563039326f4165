"""Signatures: rules with their samples, and the engine that matches them."""
