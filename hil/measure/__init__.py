# SPDX-License-Identifier: Apache-2.0
"""Measures that a scenario can name."""
