"""Check and compile a configuration; dropped after loading."""
