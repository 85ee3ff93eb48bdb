"""Thermal-hydraulic plant; imports nothing of ours."""
