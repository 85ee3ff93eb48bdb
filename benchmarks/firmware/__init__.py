"""Benchmarks of MicroPython: heap, the ARM image."""
