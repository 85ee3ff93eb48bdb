"""Device sessions on the buses, point sensors."""
