"""Pump and fan drives."""
