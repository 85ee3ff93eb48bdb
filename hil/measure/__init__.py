"""Measures that a scenario can name."""
