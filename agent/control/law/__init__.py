"""Control laws: pure calculation, no bus, no ports."""
