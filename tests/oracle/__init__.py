# SPDX-License-Identifier: Apache-2.0
"""Tests against independent programs and libraries."""
