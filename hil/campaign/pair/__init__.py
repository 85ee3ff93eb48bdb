# SPDX-License-Identifier: Apache-2.0
"""Faults of two redundant controllers on one emulated line: many runs, each judged."""
