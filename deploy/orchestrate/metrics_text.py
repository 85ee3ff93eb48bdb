# SPDX-License-Identifier: Apache-2.0
"""Reads samples of a Prometheus page, text format 0.0.4 or OpenMetrics 1.0.

Does not check the page for correctness, and reads no time stamps. A damaged line is left out.
"""

import math
import re

Sample = tuple[str, dict[str, str], float]

_LINE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})?[ \t]+(\S+)(?:[ \t]+\S+)?\s*")
_LABEL = re.compile(r'\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*=\s*"((?:[^"\\]|\\.)*)"\s*(?:,|$)')
_ESCAPES = {"\\n": "\n", '\\"': '"', "\\\\": "\\"}


def read_samples(text: str) -> list[Sample]:
    """Return the samples of a page: name, labels, finite value."""
    samples = []
    for line in text.splitlines():
        found = None if line.startswith("#") else _LINE.fullmatch(line)
        if found is None:
            continue
        try:
            value = float(found[3])
        except ValueError:
            continue
        if math.isfinite(value):
            samples.append((found[1], _labels(found[2] or ""), value))
    return samples


def _labels(text: str) -> dict[str, str]:
    return {
        name: re.sub(r"\\.", lambda part: _ESCAPES.get(part[0], part[0]), value)
        for name, value in _LABEL.findall(text)
    }


def select(samples: list[Sample], name: str) -> float | None:
    """Return the first sample of `name`; None: there is none."""
    return next((value for found, _, value in samples if found == name), None)


def select_state(samples: list[Sample], name: str, label: str) -> str:
    """Return the label whose sample is 1, as OpenMetrics writes a state set; "": none."""
    return next((found.get(label, "") for n, found, v in samples if n == name and v == 1.0), "")
