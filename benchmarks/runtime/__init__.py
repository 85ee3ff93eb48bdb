"""Benchmarks of the runtime: start, lateness of ticks."""
