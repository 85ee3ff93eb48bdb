"""Meters, PDUs, BMC, mains."""
