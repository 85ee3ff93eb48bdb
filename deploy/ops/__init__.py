"""Operators' library."""
