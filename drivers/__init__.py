# SPDX-License-Identifier: Apache-2.0
"""Drivers: one device on one port, through a protocol. Layer 2 of the code.

The drivers do no input or output themselves. They take bytes and the time, and return bytes to
send. Only `drivers.ports` uses an operating system or a board.
"""
