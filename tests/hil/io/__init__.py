"""Tests of hil/io."""
