"""Tests of agent/energy."""
