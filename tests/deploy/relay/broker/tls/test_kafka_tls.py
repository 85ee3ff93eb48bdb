# SPDX-License-Identifier: Apache-2.0
"""Kafka with TLS and a certificate of the relay: socat is the end of TLS, librdkafka the broker."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from confluent_kafka import Producer

from deploy.relay.outputs.base import OutputError
from deploy.relay.outputs.kafka_output import KafkaOutput
from deploy.relay.outputs.tls.kafka_tls import KafkaTls
from tests.deploy.relay.broker.tls.tls_rig import HOST, KeyPair, PairAuthority
from tests.deploy.relay.stores.test_stores import context, rows
from tests.support.programs import free_port, require_program, wait_until_open


class SecureKafka:
    """Two authorities and the broker of the library, without TLS."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority, self.other = PairAuthority(folder), PairAuthority(folder, "other")
        self.mine = self.authority.issue("mine")
        mock = {"bootstrap.servers": "127.0.0.1:1", "test.mock.num.brokers": 1, "log_level": 0}
        self._mock = Producer(mock)
        (broker,) = self._mock.list_topics(timeout=10).brokers.values()
        self._behind = f"TCP:{broker.host}:{broker.port}"

    @contextmanager
    def server(self, pair: KeyPair) -> Iterator[int]:
        port = free_port()
        tls = f"cert={pair.certificate},key={pair.key},cafile={self.authority.ca},verify=1"
        listen = f"OPENSSL-LISTEN:{port},bind={HOST},{tls},fork,reuseaddr"
        command = [require_program("socat"), listen, self._behind]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
            try:
                wait_until_open(port)
                yield port
            finally:
                process.terminate()

    def output(self, port: int, pair: KeyPair | None, authority: Path | None = None) -> KafkaOutput:
        path = self.folder / "properties"
        lines = ["security.protocol=ssl", f"ssl.ca.location={authority or self.authority.ca}"]
        if pair is not None:
            lines += [f"ssl.certificate.location={pair.certificate}"]
            lines += [f"ssl.key.location={pair.key}"]
        path.write_text("\n".join(lines))
        return KafkaOutput(context(f"{HOST}:{port}/fleet?{path}"))

    def problem(self, port: int, pair: KeyPair | None, authority: Path | None = None) -> str:
        with pytest.raises(OutputError) as found:
            self.output(port, pair, authority).check()
        assert "\n" not in str(found.value)
        return str(found.value)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> SecureKafka:
    return SecureKafka(tmp_path_factory.mktemp("tls"))


@pytest.fixture(autouse=True)
def short_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploy.relay.outputs.kafka_output._CHECK_S", 3.0)


def test_each_fault_is_named(site: SecureKafka) -> None:
    with site.server(site.authority.issue("server")) as port:
        site.output(port, site.mine).check()
        assert "alert certificate required" in site.problem(port, None)
        assert "alert unknown ca" in site.problem(port, site.other.issue("foreign"))
        assert "alert certificate expired" in site.problem(port, site.authority.issue("old", -1))
        assert "self-signed certificate in" in site.problem(port, site.mine, site.other.ca)
        locked = site.authority.issue("locked", phrase=b"secret")
        assert "locked.key: the key has a passphrase" in site.problem(port, locked)
        mixed = KeyPair(site.mine.certificate, locked.key)
        mixed.key.write_bytes(site.other.issue("foreign").key.read_bytes())
        assert "locked.key: not the key of" in site.problem(port, mixed)
        away = KeyPair(site.folder / "away.pem", site.mine.key)
        assert "away.pem: No such file" in site.problem(port, away)
        locked = site.authority.issue("locked", phrase=b"secret")
        with pytest.raises(OutputError, match="the key has a passphrase"):
            site.output(port, locked).deliver([rows(1)])
    with site.server(site.authority.issue("expired", -1)) as port:
        assert "certificate has expired" in site.problem(port, site.mine)
    with site.server(site.authority.issue("elsewhere", host="127.0.0.9")) as port:
        assert "is not valid for '127.0.0.1'" in site.problem(port, site.mine)


def test_a_new_producer_follows_new_files(site: SecureKafka, tmp_path: Path) -> None:
    mine = KeyPair(tmp_path / "a.pem", tmp_path / "a.key")
    mine.replace(site.mine)
    files = {"ssl.certificate.location": str(mine.certificate), "ssl.key.location": str(mine.key)}
    tls = KafkaTls({"security.protocol": "SSL", **files})
    assert not tls.has_changed()
    mine.replace(site.authority.issue("next"))
    assert tls.has_changed()
    assert not tls.has_changed()
