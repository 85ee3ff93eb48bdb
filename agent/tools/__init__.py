"""Subcommands of coldloop clock, ledger, link and telemetry, one file each."""
