# SPDX-License-Identifier: Apache-2.0
"""PostgreSQL that needs TLS and a certificate whose name is the user (`clientcert=verify-full`)."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.relay.outputs.base import OutputError
from deploy.relay.outputs.postgres_output import PostgresOutput
from tests.deploy.relay.broker.tls.tls_rig import KeyPair, PairAuthority
from tests.deploy.relay.stores.servers import PostgresServer, postgres
from tests.deploy.relay.stores.test_stores import context, rows


class SecurePostgres:
    """A server with TLS; `mine`: the certificate of its user."""

    def __init__(self, folder: Path, server: PostgresServer) -> None:
        self.folder, self.server = folder, server
        self.authority, self.other = PairAuthority(folder), PairAuthority(folder, "other")
        self.mine = self.authority.issue("postgres")
        server.use_tls(self.authority.ca, *self.authority.issue("server"))

    def uri(self, pair: KeyPair | None, authority: Path | None = None) -> str:
        """Return the URI with a certificate of the relay."""
        uri = f"{self.server.uri}?sslmode=verify-full&sslrootcert={authority or self.authority.ca}"
        # libpq would take the files of the user's home
        certificate, key = pair or (self.folder / "none", self.folder / "none")
        return f"{uri}&sslcert={certificate}&sslkey={key}"

    def problem(self, pair: KeyPair | None, authority: Path | None = None) -> str:
        output = PostgresOutput(context(self.uri(pair, authority)))
        with pytest.raises(OutputError) as found:
            output.check()
        with pytest.raises(OutputError) as second:
            output.deliver([rows(1)])
        assert "\n" not in str(found.value)
        assert str(found.value) == str(second.value)
        return str(found.value)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecurePostgres]:
    with postgres() as server:
        yield SecurePostgres(tmp_path_factory.mktemp("tls"), server)


def test_the_certificate_of_the_user(site: SecurePostgres, tmp_path: Path) -> None:
    mine = KeyPair(tmp_path / "a.pem", tmp_path / "a.key")
    mine.key.touch(0o600)
    mine.replace(site.authority.issue("other-user"))
    output = PostgresOutput(context(site.uri(mine)))
    with pytest.raises(OutputError, match="authentication failed for user"):
        output.deliver([rows(1)])
    mine.replace(site.mine)  # the next connection has the new files
    output.check()
    output.deliver([rows(1)])
    output.close()


def test_each_fault_is_named(site: SecurePostgres) -> None:
    assert "requires a valid client certificate" in site.problem(None)
    assert "certificate verify failed" in site.problem(site.mine, site.other.ca)
    assert "unknown ca" in site.problem(site.other.issue("foreign"))
    assert "certificate expired" in site.problem(site.authority.issue("old", -1))
    locked = site.authority.issue("locked", phrase=b"secret")
    assert "locked.key" in site.problem(locked)
    away = site.folder / "away.pem"
    assert f'"{away}" does not exist' in site.problem(site.mine, away)
    for problem, pair in (
        ("certificate verify failed", site.authority.issue("expired", -1)),
        ("does not match host name", site.authority.issue("elsewhere", host="127.0.0.9")),
    ):
        site.server.use_tls(site.authority.ca, *pair)
        assert problem in site.problem(site.mine)
