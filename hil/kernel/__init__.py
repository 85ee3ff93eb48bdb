"""Event queue, digest, serial line timing, device-under-test interface."""
