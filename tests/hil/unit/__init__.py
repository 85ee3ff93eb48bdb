# SPDX-License-Identifier: Apache-2.0
"""Tests of the acceptance of a unit."""
