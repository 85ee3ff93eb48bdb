"""Benchmarks of the satellite link: alarms, budgets, handshakes."""
