"""Tests of hil/bench."""
