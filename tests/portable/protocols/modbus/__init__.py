"""Tests of protocols/modbus."""
