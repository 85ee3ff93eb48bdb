"""MQTT 3.1.1, the client side."""
