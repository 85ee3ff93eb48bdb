"""Grid, loads, servers, optics."""
