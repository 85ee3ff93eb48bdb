"""Energy and water accounting (section ledger)."""
