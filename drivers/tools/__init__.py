"""A technician's probes: one file a subcommand of `coldloop modbus` or `nmea`. CPython only."""
