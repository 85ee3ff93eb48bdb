"""Subcommands of `coldloop clock`, one a file (CPython only)."""
