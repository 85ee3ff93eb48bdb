"""Tests of protocols/signing."""
