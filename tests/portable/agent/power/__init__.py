"""Tests of agent/power."""
