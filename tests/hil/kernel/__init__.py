"""Tests of hil/kernel."""
