"""Faults and events that a scenario can name."""
