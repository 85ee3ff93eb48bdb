"""Cooling devices: CDUs, valve, sensors."""
