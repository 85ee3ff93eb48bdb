"""Power limits of the IT loads (section throttle)."""
