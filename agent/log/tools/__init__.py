"""The subcommands of `coldloop telemetry` (CPython only)."""
