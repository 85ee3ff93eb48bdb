"""Tests of agent/gnss."""
