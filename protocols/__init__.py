# SPDX-License-Identifier: Apache-2.0
"""Protocols: convert bytes to values and values to bytes. Layer 1 of the code.

All modules are pure: no port, no clock, no thread, no file. The caller passes the time as
monotonic integer microseconds. The code runs on CPython and on MicroPython.
"""
