# SPDX-License-Identifier: Apache-2.0
"""Interlocks, unit state (section safety)."""
