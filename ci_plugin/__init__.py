"""The command line. It parses, calls and prints; the logic lives below."""
