"""Benchmarks of the bench: speed, digests, real time, the page."""
