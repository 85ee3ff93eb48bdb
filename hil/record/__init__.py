"""Records: hash chain, key, comparison."""
