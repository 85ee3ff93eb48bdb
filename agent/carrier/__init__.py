"""The datagram carrier: windows, budgets, messages of at most N bytes. Loaded with `modem` only."""
