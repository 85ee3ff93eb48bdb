"""Coolant, pipes, pumps, valve, exchanger, sensors."""
