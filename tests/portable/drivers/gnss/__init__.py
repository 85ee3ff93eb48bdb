"""Tests of drivers/gnss."""
