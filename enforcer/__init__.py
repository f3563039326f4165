"""Enforcement: the inspection pipeline, the agent behind HAProxy, and alerts."""
