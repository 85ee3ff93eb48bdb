"""Tests of agent/remote/storage."""
