"""Modbus, the client side, over RTU and TCP."""
