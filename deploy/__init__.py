"""Deployment: operators' commands, relay, installation check, packages, images."""
