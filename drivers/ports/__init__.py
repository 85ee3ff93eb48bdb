"""Ports: interface, addresses, store requests; one subpackage per platform."""
