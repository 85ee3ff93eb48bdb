# SPDX-License-Identifier: Apache-2.0
"""Hostile requests at the routes: valid HTTP with random methods, paths, queries and JSON.

The bytes of HTTP itself are fuzzed by tests/fuzz (harness web_routes).
"""

import json
import random
from typing import Any

import pytest

from tests.deploy.northbound.redfish.test_schema_index import bodies
from tests.fuzz.harness import HarnessError, retained
from tests.fuzz.mutation import change
from tests.fuzz.web_harnesses import SEED_BODIES, WebRoutes

METHODS = ("GET", "GET", "HEAD", "PATCH", "POST", "DELETE", "PUT", "OPTIONS")
WORDS = ("only", "$expand", "$select", "$top", "$skip", "$filter", "*", ".($levels=9)", "~", "-1",
         "%00", "..", "Members", "%2e%2e", "\u00e9", "9" * 30, "")  # fmt: skip
TOKENS: tuple[Any, ...] = (
    None, True, False, 0, -1, 1e308, 2**70, "", "x" * 300, "\0", "\ud800", [], {}, [[]], "30",
    "https://192.168.1.9/", {"@odata.id": "/redfish/v1"}, "Administrator", "PEM",
)  # fmt: skip


def random_json(rng: random.Random, names: list[str], depth: int = 0) -> Any:
    kind = rng.randrange(6)
    if kind < 3 or depth > 5:
        return rng.choice(TOKENS)
    if kind == 3:
        return [random_json(rng, names, depth + 1) for _ in range(rng.randrange(4))]
    return {rng.choice(names): random_json(rng, names, depth + 1) for _ in range(rng.randrange(5))}


def random_request(rng: random.Random, paths: list[str], names: list[str]) -> bytes:
    method, path = rng.choice(METHODS), rng.choice(paths)
    if rng.random() < 0.2:
        path += "/" + rng.choice(WORDS)
    if rng.random() < 0.3:
        path += "?" + "&".join(
            f"{rng.choice(WORDS)}={rng.choice(WORDS)}" for _ in range(rng.randrange(1, 4))
        )
    body = rng.choice(SEED_BODIES) if rng.random() < 0.5 else {}
    body = {**body, **{rng.choice(names): random_json(rng, names) for _ in range(rng.randrange(3))}}
    data = json.dumps(body).encode()
    if rng.random() < 0.1:
        data = change(data, rng)
    path = path.encode("ascii", "ignore").decode()
    head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    if rng.random() < 0.1:
        head += f"If-Match: {rng.choice(WORDS).encode('ascii', 'ignore').decode()}\r\n"
    return f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data


@pytest.mark.parametrize("count", [1500, pytest.param(350_000, marks=pytest.mark.soak)])
def test_hostile_requests_get_an_answer_and_change_nothing(
    count: int, capsys: pytest.CaptureFixture[str]
) -> None:
    routes, rng = WebRoutes(), random.Random(count)
    try:
        found = list(bodies(routes.tree))
        paths = [body["@odata.id"] for body in found]
        paths += [path for path, _body in routes.actions]
        names = sorted({name for body in found for name in body} | {"SetPoint", "Password"})
        names = [name for name in names if name != "UserName"]
        for number in range(count):
            data = random_request(rng, paths, names)
            try:
                routes.feed(data)
            except HarnessError as error:
                raise AssertionError(f"{number}: {data!r} {capsys.readouterr().out}") from error
        size, entries = retained(routes.service)
        assert size < 1 << 20
        assert entries < 50_000
    finally:
        routes.close()
