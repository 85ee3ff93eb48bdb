# SPDX-License-Identifier: Apache-2.0
"""Subcommands of coldloop modbus and coldloop nmea, one file each."""
