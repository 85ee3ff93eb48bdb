"""Orbits and look angles."""
