"""Tests of agent/clock."""
