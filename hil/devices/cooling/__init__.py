"""CDUs, valve, sensors."""
