"""Coldloop clock|ledger|link|telemetry."""
