# SPDX-License-Identifier: Apache-2.0
"""Benchmarks of control: laws, pump take-over, power limits, a year."""
