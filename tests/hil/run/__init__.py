"""Tests of hil/run."""
