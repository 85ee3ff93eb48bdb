"""Tests of protocols/telemetry."""
