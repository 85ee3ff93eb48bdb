"""Drivers of time: virtual, lock-step, real."""
