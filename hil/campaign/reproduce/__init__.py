# SPDX-License-Identifier: Apache-2.0
"""Faults that stopped the cooling in an earlier version: named runs, and their figures now."""
