"""Benchmarks of telemetry: codec, outage, relay."""
