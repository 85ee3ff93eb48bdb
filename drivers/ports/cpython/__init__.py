"""Ports on Linux with CPython."""
