# SPDX-License-Identifier: Apache-2.0
"""Tests of decoding and dating in the relay."""
