# SPDX-License-Identifier: Apache-2.0
"""Rollout of a change to many units: rules, journal, and the loop that drives it."""
