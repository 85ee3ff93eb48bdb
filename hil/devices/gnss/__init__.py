"""GNSS receivers and their satellites."""
