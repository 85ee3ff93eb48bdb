"""Tests of hil/fault."""
