# SPDX-License-Identifier: Apache-2.0
"""Faults and events that a scenario can name."""
