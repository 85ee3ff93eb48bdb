"""Electrical devices: meters, PDU, BMC, mains."""
