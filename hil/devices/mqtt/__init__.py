"""MQTT broker."""
