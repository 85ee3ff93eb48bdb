# SPDX-License-Identifier: Apache-2.0
"""Ed25519 in slices, SHA-512, HMAC-SHA256, signed reports."""
