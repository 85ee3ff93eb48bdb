"""Random campaigns, n-th failure sweeps, shrinking, clusters."""
