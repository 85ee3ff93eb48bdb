"""GNSS receiver: fixes, epochs, set-up."""
