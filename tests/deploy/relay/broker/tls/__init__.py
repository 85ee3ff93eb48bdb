# SPDX-License-Identifier: Apache-2.0
"""Tests of the outputs of the relay that store, on real servers."""
