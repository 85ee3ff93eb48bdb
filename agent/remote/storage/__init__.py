"""Power-cut-safe slots, audit log."""
