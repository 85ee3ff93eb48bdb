# SPDX-License-Identifier: Apache-2.0
"""InfluxDB output: TLS with a private authority and tokens, also for the page `/metrics`."""

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from deploy.relay.outputs.base import OutputError
from deploy.relay.outputs.http_client import HttpClient, NoPageError
from deploy.relay.outputs.influx_output import InfluxOutput
from deploy.relay.outputs.tls.server_tls import OutputTlsFiles
from tests.deploy.relay.relay_rig import write_secret
from tests.deploy.relay.stores.servers import VictoriaServer, http_server
from tests.deploy.relay.stores.test_stores import context, rows
from tests.support.cli_tools import wait_until
from tests.support.runtime_rig import CertificateAuthority

_PAGE = b'vm_app_start_timestamp 1700000000\nvm_rows_inserted_total{type="influx"} 5\n'


def test_victoria_metrics_with_a_private_authority(tmp_path: Path) -> None:
    authority = CertificateAuthority(tmp_path)
    certificate, key = authority.issue("127.0.0.1", "IP")
    victoria = VictoriaServer(tmp_path / "vm")
    victoria.options = ["-tls", f"-tlsCertFile={certificate}", f"-tlsKeyFile={key}"]
    victoria.start()
    url = f"https://127.0.0.1:{victoria.port}/write"
    output = InfluxOutput(dataclasses.replace(context(url), tls=OutputTlsFiles(str(authority.ca))))
    try:
        output.deliver([rows(1)])
        settling = output.settling()
        assert settling is not None
        wait_until("the rows are counted", settling.is_kept)
        victoria.kill()  # before the data are on its disk
        with pytest.raises(OutputError):
            settling.is_kept()
        victoria.start()
        assert not settling.is_kept(), "it comes again"
        with pytest.raises(OutputError, match="CERTIFICATE"):
            InfluxOutput(context(url)).deliver([rows(1)])
    finally:
        victoria.kill()


class _PageHandler(BaseHTTPRequestHandler):
    """Takes all lines; `/metrics` needs a token, or gives `code`."""

    code = 200
    token = ""
    page = _PAGE

    def do_GET(self) -> None:
        is_good = self.headers.get("Authorization", "") == self.token
        self.send_response(self.code if is_good else 401)
        self.send_header("Location", "/login")
        self.send_header("Content-Length", str(len(self.page)))
        self.end_headers()
        self.wfile.write(self.page)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Write no log."""


@contextmanager
def server(**attributes: object) -> Iterator[str]:
    handler = type("_Other", (_PageHandler,), attributes)
    with http_server(handler) as address:
        yield address


def test_the_page_gets_the_token(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    secret = write_secret(tmp_path)
    with server(token="Bearer secret") as url:
        output = InfluxOutput(dataclasses.replace(context(f"{url}/write"), token=secret))
        output.deliver([rows(1)])
        assert output._expected is not None
        assert output._expected.start == "vm_app_start_timestamp 1700000000"
        settling = output.settling()
        assert settling is not None
        assert not settling.is_kept(), "its count of rows has not grown"
        assert capsys.readouterr().err == ""
        without = InfluxOutput(context(f"{url}/write"))
        for _ in range(3):
            without.deliver([rows(1)])
        (line,) = capsys.readouterr().err.splitlines()
        assert line == (f"output influx: a restart of {url} is not noticed; {url}/metrics: 401")


@pytest.mark.parametrize("code", [301, 401, 403, 404, 501])
def test_a_server_without_the_page_is_reported(
    code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with server(code=code) as url:
        output = InfluxOutput(context(f"{url}/write"))
        output.deliver([rows(1)])
        assert f"{url}/metrics: {code}" in capsys.readouterr().err
        with pytest.raises(NoPageError):
            HttpClient(f"{url}/write", context("")).get("/metrics", 100)
    with server(page=b"<h1>Login</h1>") as url:
        InfluxOutput(context(f"{url}/write")).deliver([rows(1)])
        assert "no time of the start" in capsys.readouterr().err


@pytest.mark.parametrize("code", [408, 429, 500, 502, 503])
def test_a_server_that_cannot_tell_now_gets_no_rows(code: int) -> None:
    with server(code=code) as url, pytest.raises(OutputError, match=str(code)):
        InfluxOutput(context(f"{url}/write")).deliver([rows(1)])
