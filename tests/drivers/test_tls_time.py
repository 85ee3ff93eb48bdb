# SPDX-License-Identifier: Apache-2.0
"""Dates of certificates and the clock for their check, with CPython's TLS port."""

import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from deploy.ops.pki import authority as pki
from deploy.ops.pki import certificates
from drivers.errors import PortError
from drivers.ports.address import parse_address
from drivers.ports.cpython.tcp import TcpPort, open_port
from tests.agent.runtime.test_tcp_port import EchoServer

YEAR = timedelta(days=365)
NOW = int(time.time())
_YEAR_S = 365 * 86_400


@pytest.fixture
def authority(tmp_path: Path) -> Path:
    folder = tmp_path / "pki"
    folder.mkdir()
    pki.create(folder, "test")
    return folder


@contextmanager
def server(
    folder: Path, monkeypatch: pytest.MonkeyPatch, begins: timedelta, years: int
) -> Iterator[EchoServer]:
    """A server whose certificate starts `begins` ago and ends in `years` years."""
    monkeypatch.setattr(certificates, "_BACKDATING", begins)
    monkeypatch.setattr(certificates, "_LEAF_YEARS", years)
    pki.issue(folder, "broker", "broker", ["localhost"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "broker.pem", folder / "broker.key")
    echo_server = EchoServer(context)
    try:
        yield echo_server
    finally:
        echo_server.stop()


def open_port_text(
    folder: Path, echo_server: EchoServer, options: str, host: str = "localhost"
) -> str:
    """Return an empty text when the port opens, else the error."""
    port = open_port(
        parse_address(f"tls:{host}:{echo_server.port}?ca={folder}/ca.pem{options}"), lambda: None
    )
    assert isinstance(port, TcpPort)
    end = time.monotonic() + 20
    try:
        while time.monotonic() < end:
            if port.continue_open():
                return ""
            time.sleep(0.005)
    except PortError as error:
        return str(error)
    finally:
        port.close()
    return "no answer"


def test_without_utc_expired_certificate_is_accepted(
    authority: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with server(authority, monkeypatch, 9 * YEAR, -1) as echo_server:
        assert "certificate has expired" in open_port_text(
            authority, echo_server, ""
        )  # by the system clock
        assert open_port_text(authority, echo_server, "&utc=0") == ""


def test_with_utc_expired_certificate_is_rejected(
    authority: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with server(authority, monkeypatch, 9 * YEAR, -1) as echo_server:
        assert "has expired" in open_port_text(authority, echo_server, f"&utc={NOW}")
        assert open_port_text(authority, echo_server, f"&utc={NOW - 2 * _YEAR_S}") == ""
        assert "not valid yet" in open_port_text(
            authority, echo_server, f"&utc={NOW - 10 * _YEAR_S}"
        )


def test_chain_and_host_are_checked_without_utc(
    authority: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    pki.create(other, "other")
    with server(authority, monkeypatch, YEAR, 1) as echo_server:
        for options in ("&utc=0", f"&utc={NOW}"):
            assert open_port_text(authority, echo_server, options) == ""
            assert "certificate refused" in open_port_text(other, echo_server, options)
            assert "certificate refused" in open_port_text(
                authority, echo_server, options, "127.0.0.1"
            )
