"""Weather, moist air, coolers."""
