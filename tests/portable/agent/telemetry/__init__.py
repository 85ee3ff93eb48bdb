"""Tests of agent/telemetry."""
