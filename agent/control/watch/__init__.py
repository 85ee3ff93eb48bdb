# SPDX-License-Identifier: Apache-2.0
"""Loops and actuators that check themselves: watch, tuning, records of proof tests."""
