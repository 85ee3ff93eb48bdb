"""Subcommands of `coldloop config`, one module each."""
