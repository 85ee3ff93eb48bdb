"""Throttling: loads are given less power before they, or the coolant, become too hot."""
