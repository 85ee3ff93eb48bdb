"""Tests of agent/control/law."""
