# SPDX-License-Identifier: Apache-2.0
"""Coolant, pipes, pumps, valve, exchanger, sensors."""
