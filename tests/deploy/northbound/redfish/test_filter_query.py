# SPDX-License-Identifier: Apache-2.0
"""Expressions of $filter: values, order, errors; random texts raise ValueError only."""

import random

import pytest

from deploy.northbound.redfish.filter_query import parse_filter

BODY = {
    "Id": "A",
    "Reading": 21.5,
    "Name": "it's",
    "Enabled": True,
    "Status": {"Health": "OK"},
    "Absent": None,
}


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("Id eq 'A'", True),
        ("Status/Health eq 'OK'", True),
        ("Status/Health ne 'OK'", False),
        ("Reading gt 21 and Reading lt 22", True),
        ("Reading ge 21.5 and Reading le 21.5", True),
        ("Reading gt -1e1", True),
        ("not (Reading gt 21)", False),
        ("Id eq 'B' or Id eq 'A' and Enabled eq true", True),
        ("(Id eq 'B' or Id eq 'A') and Enabled eq false", False),
        ("Name eq 'it''s'", True),
        ("Absent eq null", True),
        ("Unknown/Further eq null", True),
        ("Absent gt 1", False),
        ("Id gt 1", False),
        ("Enabled gt 0", False),
        ("Enabled eq 1", False),
        ("21.5 eq Reading", True),
    ],
)
def test_expressions(text: str, fits: bool) -> None:
    assert parse_filter(text)(BODY) is fits


@pytest.mark.parametrize(
    "text",
    ["", " ", "Id", "Id eq", "eq 'A'", "Id eq 'A", "Id eq 'A' and", "(Id eq 'A'", "Id eq 'A')",
     "contains(Id,'A')", "Id is 'A'", "Id eq 1x", "(" * 20 + "Id eq 'A'" + ")" * 20, "Id eq 'A' Id",
     "x" * 600],
)  # fmt: skip
def test_errors(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        parse_filter(text)


def test_random_expressions() -> None:
    rng, words = random.Random(5), ["Id", "eq", "gt", "'A'", "1", "(", ")", "not", "and", "or", "/"]
    for _ in range(5000):
        text = " ".join(rng.choices(words, k=rng.randrange(12)))
        try:
            assert parse_filter(text)(BODY) in {True, False}
        except ValueError:
            continue
