"""Tests of agent/safety."""
