"""Modbus server side."""
