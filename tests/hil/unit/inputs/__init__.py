# SPDX-License-Identifier: Apache-2.0
"""Tests of what a commissioning is given: rows of register tables, gauges, devices of a unit."""
