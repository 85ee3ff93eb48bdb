"""A year of cooling: the real control code and the plant, readings in, outputs out, no bytes."""
