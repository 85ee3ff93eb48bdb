# SPDX-License-Identifier: Apache-2.0
"""Tests of the outputs of real devices: side effects, and devices that are no longer there."""
