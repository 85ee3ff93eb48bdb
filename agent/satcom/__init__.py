"""Datagrams over a satellite modem (sections modem, modem_store)."""
