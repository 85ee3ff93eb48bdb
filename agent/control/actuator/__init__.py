# SPDX-License-Identifier: Apache-2.0
"""Actuators of the loops: pumps, valve, and the arbiter of their claims."""
