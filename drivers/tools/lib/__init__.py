"""Shared modules of the diagnostic commands."""
