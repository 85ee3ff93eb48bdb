"""Tests of drivers/ports."""
