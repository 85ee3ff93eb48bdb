# SPDX-License-Identifier: Apache-2.0
"""Ed25519 verification in slices."""
