"""Modbus PDU, RTU and TCP framing, line sniffer."""
