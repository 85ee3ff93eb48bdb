# SPDX-License-Identifier: Apache-2.0
"""Expressions of `$filter`: `Status/Health eq 'OK' and (Reading gt 20 or not (Reading lt 5))`.

Does not read resources. Follows DSP0266, clause "The $filter query parameter": eq, ne, gt, ge, lt,
le, and, or, not, parentheses; numbers, 'texts', true, false, null; paths with a slash. Functions
are not supported. A property that a resource does not have is null: it equals null only, and no
order applies to it.
"""

import operator
import re
from collections.abc import Callable
from typing import Any

from deploy.northbound.redfish.messages import Json

_TOKEN = re.compile(
    r"\s*(?:(?P<mark>[()])|(?P<text>'(?:[^']|'')*')|(?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)"
    r"(?![\w.])|(?P<word>[A-Za-z@#_][\w@.#/]*))"
)
_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "gt": operator.gt,
    "ge": operator.ge,
    "lt": operator.lt,
    "le": operator.le,
}
_CONSTANTS = {"true": True, "false": False, "null": None}
_MAX_LENGTH, _MAX_DEPTH = 512, 8

Test = Callable[[Json], bool]
"""Whether a resource fits."""


def parse_filter(text: str) -> Test:
    """Return the test of an expression. Raises ValueError: it is not valid."""
    if len(text) > _MAX_LENGTH:
        raise ValueError("too long")
    parser = _FilterParser(_tokens(text))
    found = parser.alternatives(0)
    parser.expect_end()
    return found


def _tokens(text: str) -> list[tuple[str, str]]:
    found, at = [], 0
    text = text.rstrip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            raise ValueError(f"at {at}")
        found.append((match.lastgroup, match[match.lastgroup]))
        at = match.end()
    return found


class _FilterParser:
    """Recursive descent; `not` binds before `and`, `and` before `or`."""

    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self._tokens, self._at = tokens, 0

    def expect_end(self) -> None:
        if self._at < len(self._tokens):
            raise ValueError("more than one expression")

    def alternatives(self, depth: int) -> Test:
        tests = [self._both(depth)]
        while self._takes("or"):
            tests.append(self._both(depth))
        return lambda body: any(test(body) for test in tests)

    def _both(self, depth: int) -> Test:
        tests = [self._one(depth)]
        while self._takes("and"):
            tests.append(self._one(depth))
        return lambda body: all(test(body) for test in tests)

    def _one(self, depth: int) -> Test:
        if depth > _MAX_DEPTH:
            raise ValueError("too deep")
        if self._takes("not"):
            inner = self._one(depth + 1)
            return lambda body: not inner(body)
        if self._takes("("):
            inner = self.alternatives(depth + 1)
            if not self._takes(")"):
                raise ValueError("no )")
            return inner
        return self._comparison()

    def _comparison(self) -> Test:
        left, (kind, word), right = self._operand(), self._next(), self._operand()
        if kind == "word" and word in ("eq", "ne"):
            return lambda body: _equal(left(body), right(body)) == (word == "eq")
        if kind == "word" and word in _ORDER:
            order = _ORDER[word]
            return lambda body: _ordered(order, left(body), right(body))
        raise ValueError("no comparison")

    def _operand(self) -> Callable[[Json], Any]:
        kind, word = self._next()
        value: Any
        if kind == "text":
            value = word[1:-1].replace("''", "'")
        elif kind == "number":
            value = float(word)
        elif kind == "word" and word in _CONSTANTS:
            value = _CONSTANTS[word]
        elif kind == "word":
            return lambda body: _find(body, word.split("/"))
        else:
            raise ValueError("no operand")
        return lambda _body: value

    def _next(self) -> tuple[str, str]:
        if self._at >= len(self._tokens):
            raise ValueError("not complete")
        self._at += 1
        return self._tokens[self._at - 1]

    def _takes(self, word: str) -> bool:
        kinds = ("mark", "word")
        if self._at < len(self._tokens) and self._tokens[self._at] in [(k, word) for k in kinds]:
            self._at += 1
            return True
        return False


def _find(body: Any, path: list[str]) -> Any:
    for name in path:
        body = body.get(name) if isinstance(body, dict) else None
    return body


def _equal(left: Any, right: Any) -> bool:
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    return bool(left == right)


def _ordered(order: Callable[[Any, Any], bool], left: Any, right: Any) -> bool:
    for kind in (str, (int, float)):
        if isinstance(left, kind) and isinstance(right, kind):
            return order(left, right) and not isinstance(left, bool)
    return False
