"""Measures a scenario may name."""
