"""Rows, MQTT uplink, status snapshot."""
