"""Live web page."""
