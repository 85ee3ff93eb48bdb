"""Tests of agent/satcom."""
