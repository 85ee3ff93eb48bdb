# SPDX-License-Identifier: Apache-2.0
"""Hostile Modbus devices and lines in virtual time, and the judge of what a bus makes of them."""
