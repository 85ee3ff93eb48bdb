# SPDX-License-Identifier: Apache-2.0
"""Benchmarks of MicroPython: heap, the ARM image."""
