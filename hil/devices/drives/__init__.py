"""Drives of pumps and fans."""
