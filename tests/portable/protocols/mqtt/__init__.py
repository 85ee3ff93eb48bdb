"""Tests of protocols/mqtt."""
