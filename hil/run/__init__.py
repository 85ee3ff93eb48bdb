"""Runs: virtual, real time, captured, many rows."""
