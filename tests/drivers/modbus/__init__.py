# SPDX-License-Identifier: Apache-2.0
"""Tests of the bus: its states, its model of late replies."""
