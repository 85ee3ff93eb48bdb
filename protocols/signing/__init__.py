"""Signatures: SHA-512 and Ed25519 verification, in slices, on every interpreter."""
