"""Tests of hil/page."""
