# SPDX-License-Identifier: Apache-2.0
"""Ports on Linux with CPython."""
