# SPDX-License-Identifier: Apache-2.0
"""JSON with the same bytes on every interpreter."""

import json

from agent.core.json_writer import JsonObject, quote, write
from protocols.errors import EncodeError
from tests.portable.support.check import eq, raises


def test_order_is_the_order_given():
    eq(write(JsonObject([("b", 1), ("a", [True, None, "x"])])), '{"b":1,"a":[true,null,"x"]}')


def test_round_trip_of_special_characters():
    for text in ("", 'say "no"', "back\\slash", "tab\tline\n", "é", "€", "\x00\x1f"):
        eq(json.loads(quote(text)), text)
    eq(quote("\U0001f30a"), '"\\ud83c\\udf0a"')


def test_floats_are_refused():
    raises(EncodeError, write, 0.1)
    raises(EncodeError, write, JsonObject([("a", 1.5)]))
    raises(EncodeError, write, {"a": 1})
