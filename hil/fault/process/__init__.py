# SPDX-License-Identifier: Apache-2.0
"""Faults of the controlled process: coolant, loads, power and hazards."""
