# SPDX-License-Identifier: Apache-2.0
"""Limits of loads: their share, their ramp, their store, their proof, and the switching off."""
