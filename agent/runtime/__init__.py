"""The I/O loop on each platform."""
