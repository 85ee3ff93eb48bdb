"""MicroPython images."""
