"""Tests of agent/remote/update."""
