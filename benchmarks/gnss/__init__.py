"""Benchmarks of time and GNSS: the clock, NMEA, false alarms."""
