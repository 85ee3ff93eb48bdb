# SPDX-License-Identifier: Apache-2.0
"""Registers and points as values, for the diagnostic commands."""
