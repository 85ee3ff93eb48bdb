"""Benchmarks of control: laws, pump take-over, power limits, a year."""
