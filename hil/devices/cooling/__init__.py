# SPDX-License-Identifier: Apache-2.0
"""Cooling devices: CDUs, valve, sensors."""
