"""Satellite communication: modems, radio, sky, message gateway."""
