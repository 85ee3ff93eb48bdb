# SPDX-License-Identifier: Apache-2.0
"""Plain test functions that run on CPython and on MicroPython alike."""
