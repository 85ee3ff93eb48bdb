"""Loops, actuators, operating modes (section cooling)."""
