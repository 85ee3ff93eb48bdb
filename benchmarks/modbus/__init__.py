"""Benchmarks of Modbus: transactions, other clients, use of the line."""
