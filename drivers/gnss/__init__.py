"""GNSS receiver driver: fixes, epochs and receiver set-up."""
