"""Ports on Linux."""
