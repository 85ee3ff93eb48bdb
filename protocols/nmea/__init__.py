"""NMEA 0183 sentences, from bytes."""
