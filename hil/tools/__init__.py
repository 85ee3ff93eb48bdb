"""Coldloop hil SUBCOMMAND."""
