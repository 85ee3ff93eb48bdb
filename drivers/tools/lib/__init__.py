# SPDX-License-Identifier: Apache-2.0
"""Shared modules of the diagnostic commands."""
