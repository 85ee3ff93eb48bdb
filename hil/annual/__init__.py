"""A year of cooling: policies, optimum, energy account, plot."""
