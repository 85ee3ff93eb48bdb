"""Tests of hil/record."""
