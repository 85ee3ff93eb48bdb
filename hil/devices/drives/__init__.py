# SPDX-License-Identifier: Apache-2.0
"""Drives of pumps and fans."""
