"""Benchmarks of remote management: signatures, rollouts."""
