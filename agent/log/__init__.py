"""Store-and-forward log of telemetry."""
