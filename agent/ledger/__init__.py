"""The energy ledger: what the row's power and water were spent on, in whole numbers."""
