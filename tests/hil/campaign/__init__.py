"""Tests of hil/campaign."""
