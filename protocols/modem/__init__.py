"""Dialects of satellite modems."""
