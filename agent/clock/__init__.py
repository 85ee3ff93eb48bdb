"""UTC: clock discipline, holdover, leap seconds, PPS, chrony."""
