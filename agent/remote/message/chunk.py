# SPDX-License-Identifier: Apache-2.0
"""The hash of a chunk of an update, as a manifest has it.

Stays loaded between messages: a board compares each chunk, and the manifest is dropped before them.
"""

import hashlib

CHUNK_HASH_BYTES = 16


def chunk_hash(chunk: bytes) -> bytes:
    """Return the hash of a chunk."""
    return hashlib.sha256(chunk).digest()[:CHUNK_HASH_BYTES]
