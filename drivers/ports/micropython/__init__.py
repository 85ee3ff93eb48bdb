"""Ports on MicroPython."""
