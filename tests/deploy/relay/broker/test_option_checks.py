# SPDX-License-Identifier: Apache-2.0
"""Options that lose records, or do not do what they seem to: an error before the relay starts."""

import socket
from pathlib import Path

import pytest

from deploy.errors import DeployError
from deploy.relay import command
from deploy.relay.commands.check import find_problems
from deploy.relay.intake.http_server import RelayHttpServer
from tests.support.programs import free_port

BASE = ["--broker", "tcp:h:1", "--store", "s.db"]


@pytest.mark.parametrize(
    "words",
    [
        ["--store", ":memory:"],
        ["--store", "./:memory:"],
        ["--fleet", ":memory:"],
    ],
)
def test_a_store_in_memory_is_no_store(words: list[str]) -> None:
    """SQLite makes one for this name; the receipted records ended with the process."""
    with pytest.raises(DeployError, match="not a file"):
        command.parse_options([*BASE, *words])


@pytest.mark.parametrize(
    "words",
    [
        ["--fleet", "s.db"],
        ["--fleet", "./s.db"],
        ["--fleet", str(Path("s.db").absolute())],
        ["--lines", "s.db"],
        ["--lines", "s", "--store", "s.1"],
        ["--fleet", "f.db", "--lines", "f.db"],
        ["--lines", "s.db.fleet"],
    ],
)
def test_a_file_has_one_use(words: list[str]) -> None:
    with pytest.raises(DeployError, match="has this file"):
        command.parse_options([*BASE, *words])


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("--key k", "--key needs --cert"),
        ("--http h:1 --http-key k", "--http-key needs --http-cert"),
        ("--http-cert c", "--http-cert needs --http"),
        ("--http-token t", "--http-token needs --http"),
        ("--sbd-key k", "--sbd-key needs --http"),
        ("--sbd-token t", "--sbd-token needs --http"),
        ("--sbd-unsigned", "--sbd-unsigned needs --http"),
        ("--gateway-login l", "--gateway-login needs --gateway"),
        ("--password-file p", "--password-file needs --username"),
        ("--primary h", "--primary needs --sparkplug"),
        ("--shelved f", "--shelved needs --alarms"),
        ("--token influx=t", "there is no --influx"),
        ("--token wrong=t", "there is no --wrong"),
        ("--token metrics=t", "there is no --metrics"),
    ],
)
def test_an_option_without_the_one_that_it_needs(words: str, text: str) -> None:
    with pytest.raises(DeployError, match=text):
        command.parse_options([*BASE, *words.split()])


@pytest.mark.parametrize("option", ["--name", "--group", "--json", "--alarms"])
def test_a_name_that_is_no_utf_8(option: str) -> None:
    words = [*BASE, "--broker", f"tcp:127.0.0.1:{free_port()}", "--receipts", option, "a\udcff"]
    with pytest.raises((DeployError, SystemExit)):
        find_problems(command.parse_options(words))


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("--modem 1=s/a --modem 1=s/b", "1 has s/a already"),
        ("--influx http://h --token influx=a --token influx=b", "influx has a already"),
    ],
)
def test_one_name_has_one_value(words: str, text: str) -> None:
    with pytest.raises(DeployError, match=text):
        command.parse_options([*BASE, *words.split()])


def test_the_http_server_has_an_address_of_ipv6() -> None:
    options = command.parse_options(["--store", "s.db", "--broker", "[::1]:1", "--http", "[::1]:0"])
    assert options.broker.address == ("::1", 1)
    assert options.http is not None
    server = RelayHttpServer(options.http, {}, lambda *_: False)
    try:
        assert server.address is not None
        assert server.address[0] == "::1"
        socket.create_connection(server.address, 10).close()
    finally:
        server.close()


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        ("s/a " + "0" * 30, "1: not SITE/UNIT and a key of 32 to 128 hexadecimal digits"),
        ("s/a " + "0" * 130, "1: not SITE/UNIT and a key"),
        (f"s/a {'0' * 64}\n\ns/a {'1' * 64}", "3: a second key of s/a"),
    ],
)
def test_keys_that_no_unit_can_have(tmp_path: Path, lines: str, text: str) -> None:
    """The unit discards each receipt, and sends its records again for ever."""
    (tmp_path / "keys").write_text(lines)
    with pytest.raises(DeployError, match=text):
        command.parse_options([*BASE, "--keys", str(tmp_path / "keys")])
    (tmp_path / "keys").write_text(f"s/a {'0' * 32}\ns/b {'0' * 128}")
    assert len(command.parse_options([*BASE, "--keys", str(tmp_path / "keys")]).keys) == 2


@pytest.mark.parametrize(
    "line", ["acks=0", "acks=1", "request.required.acks=1", "enable.idempotence=false"]
)
def test_no_property_of_kafka_weakens_a_receipt(tmp_path: Path, line: str) -> None:
    file = tmp_path / "properties"
    file.write_text(line)
    options = command.parse_options([*BASE, "--kafka", f"127.0.0.1:1/x?{file}"])
    with pytest.raises(DeployError, match="a receipt needs"):
        find_problems(options)


def test_the_check_names_a_property_that_kafka_does_not_have(tmp_path: Path) -> None:
    file = tmp_path / "properties"
    file.write_text("acks=-1\nenable.idempotence=True\nnonsense=1")
    words = ["--broker", f"tcp:127.0.0.1:{free_port()}", "--store", str(tmp_path / "s.db")]
    options = command.parse_options([*words, "--kafka", f"127.0.0.1:1/x?{file}"])
    assert any('"nonsense"' in problem for problem in find_problems(options))


def test_a_file_of_properties_that_is_no_text(tmp_path: Path) -> None:
    file = tmp_path / "properties"
    file.write_bytes(b"\xff\xfe")
    options = command.parse_options([*BASE, "--kafka", f"127.0.0.1:1/x?{file}"])
    with pytest.raises(DeployError, match="not a text"):
        find_problems(options)


@pytest.mark.parametrize(
    ("text", "is_good"), [(None, True), ("{}", True), ("{", False), ("[]", False)]
)
def test_a_check_reads_the_shelved_alarms(tmp_path: Path, text: str | None, is_good: bool) -> None:
    file = tmp_path / "shelved.json"
    if text is not None:
        file.write_text(text)
    words = ["--broker", f"tcp:127.0.0.1:{free_port()}", "--store", str(tmp_path / "s.db")]
    options = command.parse_options([*words, "--alarms", "a", "--shelved", str(file)])
    problems = [line for line in find_problems(options) if "--shelved" in line]
    assert bool(problems) is not is_good


def test_an_address_of_ipv6_has_brackets() -> None:
    options = command.parse_options(["--broker", "tcp:[::1]:1883", "--store", "s.db"])
    assert options.broker.address == ("::1", 1883)
