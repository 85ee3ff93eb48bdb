"""NMEA 0183 framing, sentences, satellites in view."""
