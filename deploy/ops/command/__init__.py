"""Coldloop config SUBCOMMAND."""
