"""Tests of protocols/modem."""
