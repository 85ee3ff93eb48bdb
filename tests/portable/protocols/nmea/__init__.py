"""Tests of protocols/nmea."""
