"""Interlocks, unit state (section safety)."""
