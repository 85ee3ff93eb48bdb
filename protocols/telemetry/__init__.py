"""Telemetry block codec and messages."""
