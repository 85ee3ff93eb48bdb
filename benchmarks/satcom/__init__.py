# SPDX-License-Identifier: Apache-2.0
"""Benchmarks of the satellite link: alarms, budgets, handshakes."""
