"""Random runs, n-th failure, shrinking, clusters."""
