# SPDX-License-Identifier: Apache-2.0
"""Loops, actuators, operating modes (section cooling)."""
