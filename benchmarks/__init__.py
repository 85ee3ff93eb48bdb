"""Measurements, side by side, by hand."""
