"""Tests of hil/scenario."""
