"""Tests of agent/control."""
