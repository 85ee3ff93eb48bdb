"""Subcommands of `coldloop hil`, one module each."""
