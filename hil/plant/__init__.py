"""The thermal-hydraulic plant behind the emulated devices."""
