"""Faults and events a scenario may name."""
