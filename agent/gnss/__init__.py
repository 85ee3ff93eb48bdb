"""GNSS integrity monitoring (section integrity), receiver set-up."""
