"""A year of cooling: policies, optimum, plots."""
