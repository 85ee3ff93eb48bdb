# SPDX-License-Identifier: Apache-2.0
"""All harnesses by name."""

from __future__ import annotations

from tests.fuzz import (
    peer_harnesses,
    protocol_harnesses,
    record_harnesses,
    unit_harnesses,
    web_harnesses,
)
from tests.fuzz.harness import Harness


def make_all() -> dict[str, Harness]:
    """Return all harnesses, in a fixed order."""
    found = (
        protocol_harnesses.make_harnesses()
        + record_harnesses.make_harnesses()
        + unit_harnesses.make_harnesses()
        + peer_harnesses.make_harnesses()
        + web_harnesses.make_harnesses()
    )
    return {harness.name: harness for harness in found}
