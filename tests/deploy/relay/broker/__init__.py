# SPDX-License-Identifier: Apache-2.0
"""Tests of the connections of the relay to a real broker."""
