"""The shells: they advance the time of the bench (virtual, lock-step, real)."""
