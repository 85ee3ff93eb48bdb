"""Tests of protocols/orbit."""
