"""GNSS receivers and sky."""
