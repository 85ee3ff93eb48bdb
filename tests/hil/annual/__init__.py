"""Tests of hil/annual."""
