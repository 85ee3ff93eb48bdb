"""Tests of drivers/device."""
