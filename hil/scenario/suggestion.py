# SPDX-License-Identifier: Apache-2.0
"""Finds the known name that is closest to a misspelt one, for error lines."""

import difflib
from collections.abc import Iterable


def suggest_name(name: str, known: Iterable[str]) -> str:
    """Return the closest known name as the end of an error line; "" if none is close."""
    matches = difflib.get_close_matches(name, list(known), 1)
    return f" (did you mean {matches[0]}?)" if matches else ""
