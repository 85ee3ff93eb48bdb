"""Benchmarks: measurements for a manual comparison, side by side in one run."""
