"""Shape of a port, addresses."""
