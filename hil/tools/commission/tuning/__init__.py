# SPDX-License-Identifier: Apache-2.0
"""Tuning of the loops of a new unit: a step test of each, and gains from its response."""
