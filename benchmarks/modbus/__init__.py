# SPDX-License-Identifier: Apache-2.0
"""Benchmarks of Modbus: transactions, other clients, use of the line."""
