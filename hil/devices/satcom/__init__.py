"""Modems, message gateway."""
