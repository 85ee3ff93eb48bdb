"""Runs of scenarios: virtual time, real time, captures, many rows."""
