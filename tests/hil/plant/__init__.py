"""Tests of hil/plant."""
