# SPDX-License-Identifier: Apache-2.0
"""Benchmarks of time and GNSS: the clock, NMEA, false alarms."""
