"""The telemetry log: what survives a power cut until the ground has it."""
