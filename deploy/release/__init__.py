"""Steps of a release: the bill of materials, and whether anything in it has a known weakness."""
