# SPDX-License-Identifier: Apache-2.0
"""HTTP outputs at servers that need a certificate of the relay."""

import dataclasses
import secrets
import shutil
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.errors import DeployError
from deploy.relay import command
from deploy.relay.outputs.base import OutputError
from deploy.relay.outputs.http_client import HttpClient, RefusedError
from deploy.relay.outputs.influx_output import InfluxOutput
from deploy.relay.outputs.tls.server_tls import OutputTlsFiles
from tests.deploy.relay.broker.tls.tls_rig import KeyPair, PairAuthority, TlsProxy, tls_server
from tests.deploy.relay.stores.servers import VictoriaServer
from tests.deploy.relay.stores.test_stores import context, rows
from tests.support.programs import running_mosquitto

_V12, _V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
BASE = ["--broker", "tcp:h:1", "--store", "s.db"]


class SecureStore:
    """Two authorities and a proxy before VictoriaMetrics; `mine`: the files of the relay."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority, self.other = PairAuthority(folder), PairAuthority(folder, "other")
        self.victoria = VictoriaServer(folder / "vm")
        own = self.authority.issue("server")
        self.proxy = TlsProxy(folder, self.victoria.port, self.authority, own)
        self.mine = self.authority.issue("mine")

    def files(self, pair: KeyPair | None = None, authority: Path | None = None) -> OutputTlsFiles:
        used = pair or self.mine
        return OutputTlsFiles(str(authority or self.authority.ca), *map(str, used))

    def output(self, files: OutputTlsFiles) -> InfluxOutput:
        return InfluxOutput(dataclasses.replace(context(self.proxy.url), tls=files))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureStore]:
    found = SecureStore(tmp_path_factory.mktemp("tls"))
    found.victoria.start()
    found.proxy.start()
    yield found
    found.proxy.stop()
    found.victoria.kill()


def test_victoria_metrics_behind_a_proxy_that_needs_a_certificate(site: SecureStore) -> None:
    output = site.output(site.files())
    output.check()
    output.deliver([rows(1)])
    assert len(site.victoria.samples('{site="s1"}')) == 2
    for pair in (site.other.issue("foreign"), site.authority.issue("old", -1)):
        check_refused(site.output(site.files(pair)), "The SSL certificate error")
    without = site.output(OutputTlsFiles(str(site.authority.ca)))
    check_refused(without, "No required SSL certificate was sent")


def check_refused(output: InfluxOutput, reason: str) -> None:
    """Check that the proxy refuses all: its status is 400, and no record is the cause."""
    with pytest.raises(RefusedError, match=f"400 (400 )?{reason}") as found:
        output.deliver([rows(2)])
    assert "<" not in str(found.value)
    assert output.refuses_all()


def test_certificates_that_are_replaced_are_used_at_the_next_connection(
    site: SecureStore, tmp_path: Path
) -> None:
    mine = KeyPair(tmp_path / "a.pem", tmp_path / "a.key")
    mine.replace(site.other.issue("foreign"))
    ca = tmp_path / "ca.pem"
    shutil.copy(site.authority.ca, ca)
    output = site.output(site.files(mine, ca))
    with pytest.raises(RefusedError):
        output.check()
    mine.replace(site.mine)
    output.check()
    mine.key.write_text("being written")
    output.check()  # those before
    mine.replace(site.other.issue("foreign"))
    with pytest.raises(RefusedError):
        output.check()
    mine.replace(site.mine)
    shutil.copy(site.other.ca, ca)
    with pytest.raises(OutputError, match="unable to get"):
        output.check()


@pytest.mark.parametrize("version", [_V12, _V13])
@pytest.mark.parametrize("size", [0, 3_000_000])
def test_a_server_that_refuses_certificates_by_an_alert(
    site: SecureStore, version: ssl.TLSVersion, size: int
) -> None:
    """The server can end the connection while the relay still writes a large body."""
    body = secrets.token_bytes(size)
    with tls_server(site.authority, site.authority.issue("server2"), version) as url:

        def client(files: OutputTlsFiles) -> HttpClient:
            return HttpClient(url, dataclasses.replace(context(url), tls=files))

        client(site.files()).post(body, "text/plain")
        for files, reason in (
            (OutputTlsFiles(str(site.authority.ca)), "certificate.required|handshake.failure"),
            (site.files(site.other.issue("foreign")), "unknown.ca"),
            (site.files(site.authority.issue("old", -1)), "certificate.expired"),
        ):
            with pytest.raises(OutputError, match=f"(?i)alert.({reason})") as found:
                client(files).post(body, "text/plain")
            assert "\n" not in str(found.value)


def test_the_check_names_each_fault(
    site: SecureStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ca, other_ca = str(site.authority.ca), str(site.other.ca)
    old = site.authority.issue("old", -1)
    foreign = site.other.issue("foreign")
    locked = site.authority.issue("locked", phrase=b"secret")

    with running_mosquitto(tmp_path / "m.conf") as port:
        words = ["--check", "--broker", f"{port}", "--store", str(tmp_path / "r.db")]
        words[2] = f"127.0.0.1:{port}"
        words += ["--fleet", str(tmp_path / "f.db"), "--influx", site.proxy.url]

        def problems(authority: str, pair: KeyPair | None) -> list[str]:
            more = ["--output-ca", authority]
            if pair is not None:
                more += ["--client-cert", f"influx={pair.certificate}"]
                more += ["--client-key", f"influx={pair.key}"]
            try:
                command.run([*words, *more])
            except DeployError as error:
                return [str(error)]
            return capsys.readouterr().err.splitlines()

        assert problems(ca, site.mine) == []
        (line,) = problems(ca, None)
        assert "output influx: " in line
        assert "No required SSL certificate" in line
        (line,) = problems(other_ca, site.mine)
        assert "unable to get local issuer" in line or "self-signed" in line
        dates, line = problems(ca, old)
        assert "old.pem: expired on" in dates
        assert "SSL certificate error" in line
        (line,) = problems(ca, foreign)
        assert "SSL certificate error" in line
        (line,) = problems(ca, locked)
        assert "locked.key: the key has a passphrase" in line
        (line,) = problems(ca, KeyPair(site.mine.certificate, foreign.key))
        assert "mine.pem" in line
        assert "not the key of" in line
        (line,) = problems(ca, KeyPair(tmp_path / "away.pem", foreign.key))
        assert "away.pem: No such file" in line
        (line,) = problems(str(tmp_path / "away.pem"), site.mine)
        assert "away.pem: No such file" in line
        try:
            site.proxy.use(site.authority.issue("expired", -1))
            (line,) = problems(ca, site.mine)
            assert "certificate has expired" in line
            site.proxy.use(site.authority.issue("elsewhere", host="127.0.0.9"))
            (line,) = problems(ca, site.mine)
            assert "is not valid for '127.0.0.1'" in line
        finally:
            site.proxy.use(site.authority.issue("good"))


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("--client-cert influx=c", "there is no --influx"),
        ("--influx http://h:1/w --client-cert influx=c", "not https"),
        ("--influx https://h:1/w --client-key influx=c", "needs --client-cert influx"),
        ("--influx https://h:1/w --client-cert influx", "not OUTPUT=FILE"),
        ("--postgres x --client-cert postgres=c", "this is for influx, clickhouse"),
        ("--postgres x --token postgres=c", "this is for influx, clickhouse"),
        ("--clickhouse folder --token clickhouse=c", "not http"),
        ("--fleet f.db --output-ca c", "no output of https"),
    ],
)
def test_an_option_without_effect_is_an_error(words: str, text: str) -> None:
    with pytest.raises(DeployError, match=text):
        command.parse_options([*BASE, *words.split()])
