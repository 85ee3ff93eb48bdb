# SPDX-License-Identifier: Apache-2.0
"""Audit log of a unit: its hash chain, and its entries for a central log."""
