# SPDX-License-Identifier: Apache-2.0
"""Pairs of hazards: faults, draws, invariants on the plant's truth, coverage."""
