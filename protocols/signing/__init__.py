"""Ed25519 verification in slices."""
