"""Tests of agent/log."""
