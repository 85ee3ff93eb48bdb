"""Telemetry on its way to the ground: signals in blocks, records in parcels, acknowledgements."""
