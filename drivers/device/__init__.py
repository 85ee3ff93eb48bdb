"""Device profiles, points, identity, writes."""
