"""Tests of hil/devices."""
