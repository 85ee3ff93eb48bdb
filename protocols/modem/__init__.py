# SPDX-License-Identifier: Apache-2.0
"""Dialects of satellite modems."""
