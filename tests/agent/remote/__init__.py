"""Tests of agent/remote."""
