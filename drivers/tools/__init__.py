"""Subcommands of coldloop modbus and coldloop nmea, one file each."""
