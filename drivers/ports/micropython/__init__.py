# SPDX-License-Identifier: Apache-2.0
"""Ports on MicroPython."""
