"""Tests against independent programs and libraries."""
