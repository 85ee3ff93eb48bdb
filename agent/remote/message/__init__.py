"""Signed messages: formats, verification, reject reasons."""
