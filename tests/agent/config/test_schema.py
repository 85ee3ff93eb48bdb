# SPDX-License-Identifier: Apache-2.0
"""The published JSON Schema agrees with the schema that the agent uses."""

import copy
import json
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.commands import profiles, read_config, schema_text
from agent.config import compiler, file
from agent.config.load import load
from agent.config.schema import with_components
from agent.config.validate import validate
from agent.core.component.registry import COMPONENTS, schema_module
from agent.core.errors import ConfigError
from tests.portable.support import agent_rig
from tests.support.cli_tools import call_coldloop
from tests.support.repository import ROOT

EXAMPLE = ROOT / "deploy" / "examples" / "unit.json"
COPY = ROOT / "docs" / "config.schema.json"
DOCUMENT = json.loads(schema_text())
STANDARD = jsonschema.Draft202012Validator(DOCUMENT)
GOOD: list[dict[str, Any]] = [
    json.loads(EXAMPLE.read_text()),
    agent_rig.config(),
    agent_rig.minimal_config(),
]


def agent(*words: str) -> "subprocess.CompletedProcess[str]":
    return call_coldloop("agent", *words)


def is_valid(raw: Any) -> bool:
    errors: list[str] = []
    validate(raw, with_components(list(raw)), "", errors)
    return not errors


def test_the_schema_is_standard() -> None:
    jsonschema.Draft202012Validator.check_schema(DOCUMENT)
    assert DOCUMENT["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert DOCUMENT["title"]
    assert not {"values", "propertyPattern"} & keywords(DOCUMENT)
    known = set(STANDARD.VALIDATORS) | {"$schema", "title", "description", "default"}
    assert keywords(DOCUMENT) <= known


def keywords(rule: dict[str, Any]) -> set[str]:
    """Return all schema keywords in `rule`."""
    found = set(rule)
    inner = [rule["items"]] if "items" in rule else []
    for keyword in ("properties", "patternProperties"):
        inner += rule.get(keyword, {}).values()
    return found.union(*[keywords(subrule) for subrule in inner])


def test_the_copy_in_docs_is_the_schema() -> None:
    assert COPY.read_text(encoding="utf-8") == schema_text(), "make reference"


def test_schema_is_independent_of_earlier_loads() -> None:
    names = list(DOCUMENT["properties"])
    for some in (["modem", "log"], ["chrony"], []):
        asked = with_components(some)["properties"]
        assert list(asked) == [name for name in names if name in asked]
        assert set(asked) - set(some) == set(with_components([])["properties"]) - set(some)
    assert list(json.loads(schema_text())["properties"]) == names


def test_the_compiler_calls_every_check_beside_a_schema() -> None:
    checked = [s.section for s in COMPONENTS if hasattr(schema_module(s, "check"), "check")]
    assert sorted(compiler._CHECKED_SECTIONS) == sorted(checked)


def test_command_prints_the_schema() -> None:
    done = agent("--schema")
    assert (done.returncode, done.stdout, done.stderr) == (0, schema_text(), "")
    assert agent("--schema", "--config", "x").returncode == 2


def test_every_default_is_valid() -> None:
    def check(rule: dict[str, Any]) -> int:
        count = 0
        if "default" in rule:
            jsonschema.validate(rule["default"], rule)
            count += 1
        return count + sum(check(part) for part in rule.get("properties", {}).values())

    assert check(DOCUMENT) > 15


@pytest.mark.parametrize("good", GOOD)
def test_valid_configurations_pass_both_validators(good: dict[str, Any]) -> None:
    STANDARD.validate(good)
    assert is_valid(good)


def test_example_is_valid() -> None:
    done = agent("--config", str(EXAMPLE), "--check")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("unit.json: good\n")
    config = read_config(str(EXAMPLE))
    assert config.receiver is not None
    assert config.broker is not None
    assert config.status_store is not None
    assert config.receiver.path == "/dev/ttyUSB0"
    assert (config.buses[0][1].path, config.buses[0][1].rs485) == ("/dev/ttyUSB1", True)
    assert (config.broker.kind, config.status_store.path) == ("tls", "/var/lib/coldloop")


VALUES: list[Any] = [None, True, False, 0, 1, -1, 5, 32.5, 99.0, 100.0, 1e9, 1e300, 10**20]
VALUES += [float("inf"), "", "a", "A b", "x" * 33, "x" * 300, "a\x00b", "tcp:h:1"]
VALUES += [[], ["a"], ["a", "b", "c"], {}, {"a": "b"}, {"A": "b"}, {"port": "x"}, [1], 1.0]


def paths(raw: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return all places in a configuration that can be changed."""
    found = [path] if path else []
    inner: Any = enumerate(raw) if isinstance(raw, list) else ()
    for key, value in raw.items() if isinstance(raw, dict) else inner:
        found += paths(value, (*path, key))
    return found


@st.composite
def mutated(draw: Any) -> dict[str, Any]:
    """A valid configuration with one to three small changes."""
    raw = copy.deepcopy(draw(st.sampled_from(GOOD)))
    for _ in range(draw(st.integers(1, 3))):
        *path, last = draw(st.sampled_from(paths(raw)))
        node = raw
        for step in path:
            node = node[step]
        action = draw(st.sampled_from(["set", "set", "set", "drop", "add", "double"]))
        if action == "set":
            node[last] = copy.deepcopy(draw(st.sampled_from(VALUES)))
        elif action == "drop":
            del node[last]
        elif isinstance(node, dict):
            node[draw(st.sampled_from(["new", "sensor", "Big", "two", "a b"]))] = node[last]
        else:
            node.append(copy.deepcopy(node[last]))
        if not raw:
            break
    return raw


@settings(max_examples=600, deadline=None, derandomize=True)
@given(mutated())
def test_both_validators_agree_on_small_changes(raw: dict[str, Any]) -> None:
    assert is_valid(raw) == STANDARD.is_valid(raw), list(STANDARD.iter_errors(raw))


@settings(max_examples=300, deadline=None, derandomize=True)
@given(mutated())
def test_changed_configuration_is_compiled_or_rejected(raw: dict[str, Any]) -> None:
    known = agent_rig.profiles() | profiles()
    try:
        load(raw, known)
    except ConfigError as error:
        for line in str(error).splitlines():
            assert line.isprintable(), line
            assert ": " in line, line


def test_changes_cover_valid_and_invalid() -> None:
    """Of single changes at all places, some are valid and many invalid."""
    verdicts = []
    for good in GOOD:
        for *path, last in paths(good):
            for value in VALUES:
                raw = copy.deepcopy(good)
                node: Any = raw
                for step in path:
                    node = node[step]
                node[last] = copy.deepcopy(value)
                verdict = is_valid(raw)
                assert verdict == STANDARD.is_valid(raw), (path, last, value)
                verdicts.append(verdict)
    assert verdicts.count(True) > 200
    assert verdicts.count(False) > 2000


def test_nan_is_refused_everywhere() -> None:
    """NaN is not JSON, but the parser of Python accepts it, and so do other validators."""
    for good in GOOD:
        for *path, last in paths(good):
            raw = copy.deepcopy(good)
            node: Any = raw
            for step in path:
                node = node[step]
            node[last] = float("nan")
            assert not is_valid(raw), (path, last)


def test_duplicate_key_is_rejected() -> None:
    with pytest.raises(ConfigError, match="the key a is written twice"):
        file.parse('{"b": {"a": 1, "a": 2}}', "f.json")


def test_invalid_json_is_reported_with_line_and_column() -> None:
    with pytest.raises(ConfigError, match=r"f\.json:2:5: not JSON: "):
        file.parse('{\n"a":}', "f.json")


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"a":' * 100_000,
        "9" * 5000,
        '{"version": ' + "9" * 4000 + "}",
        "NaN",
        "[]",
        "null",
        "\ufeff{}",
        '{"site": "\\ud800"}',
        json.dumps({f"key{i}": i for i in range(3000)}),
    ],
)
def test_invalid_files_are_rejected_with_exit_2(text: str, tmp_path: Path) -> None:
    path = tmp_path / "unit.json"
    path.write_text(text, encoding="utf-8")
    done = agent("--config", str(path))
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr
    for line in done.stderr.splitlines():
        assert line.startswith(f"{path}:"), line
        assert len(line) < 400


def test_missing_or_binary_file(tmp_path: Path) -> None:
    done = agent("--config", str(tmp_path / "nix.json"))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    path = tmp_path / "unit.json"
    path.write_bytes(b"\xff\xfe{")
    done = agent("--config", str(path))
    assert (done.returncode, done.stderr) == (2, f"{path}: not UTF-8 text\n")


def test_public_key_must_be_hexadecimal() -> None:
    """The check of 32 `zz` passed, and the first message ended the agent."""
    raw = copy.deepcopy(GOOD[0])
    raw["remote"] = {
        "port": "store:/var/lib/coldloop-remote",
        "keys": [{"number": 1, "public": "zz" * 32, "role": "operate"}],
    }
    with pytest.raises(ConfigError, match="public: pairs of hexadecimal digits"):
        load(raw, profiles())
    raw["remote"]["keys"] = [dict(key) for key in REMOTE_KEYS]
    load(raw, profiles())


FIRST = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
SECOND = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"
REMOTE_KEYS: tuple[dict[str, Any], ...] = (
    {"number": 1, "role": "operate", "public": FIRST},
    {"number": 2, "role": "limits", "public": SECOND},
)
"""RFC 8032, 7.1, tests 1 and 2."""


@pytest.mark.parametrize(
    ("number", "change", "error"),
    [
        (1, {"number": 1}, "is the number of another key"),
        (1, {"public": REMOTE_KEYS[0]["public"]}, "the same key as another one"),
        (0, {"public": "0a" * 31 + "7f"}, "no Ed25519 public key"),
        (0, {"public": "ed" + "ff" * 30 + "7f"}, "no Ed25519 public key"),  # p: not canonical
        (0, {"public": "01" + "00" * 31}, "no Ed25519 public key"),  # of small order
        (1, {"role": "operate"}, "two keys are needed"),
        (1, None, "two keys are needed"),
    ],
)
def test_keys_that_could_not_sign_are_refused(
    number: int, change: dict[str, Any] | None, error: str
) -> None:
    raw = copy.deepcopy(GOOD[0])
    keys = [dict(key) for key in REMOTE_KEYS]
    if change is None:
        del keys[number]
    else:
        keys[number].update(change)
    raw["remote"] = {"port": "store:/var/lib/coldloop-remote", "keys": keys}
    with pytest.raises(ConfigError, match=error):
        load(raw, profiles())


@pytest.mark.parametrize("kind", ["sbd", "imt", "ntn", "rdss", "ip"])
def test_a_modem_whose_ok_says_little_needs_a_key(kind: str) -> None:
    """The network gives the OK of `ntn`, and an OK that comes twice ends the next datagram too."""
    modem = {"port": "serial:/dev/x?baud=9600", "kind": kind, "region": "uae", "licence": "x"}
    raw = {**json.loads(EXAMPLE.read_text()), "modem": modem}
    known = profiles()
    if kind == "ntn":
        with pytest.raises(ConfigError, match="modem: kind ntn needs key"):
            load(raw, known)
    else:
        load(raw, known)
    load({**raw, "modem": {**modem, "key": "ab" * 32}}, known)
