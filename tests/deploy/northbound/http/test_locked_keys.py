# SPDX-License-Identifier: Apache-2.0
"""A key with a passphrase: each server and client names it, and asks nothing at the terminal."""

import re
import shutil
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.core.errors import ConfigError
from agent.tools.clock.time_server_files import check_certificate
from deploy.errors import OpsError
from deploy.northbound.http import certificate_maker
from deploy.northbound.http.certificate_files import CertificateFiles
from deploy.northbound.modbus.service import make_context
from deploy.ops.mqtt_session import BrokerSession
from deploy.ops.pki.est import TlsContexts
from drivers.errors import DriverError
from drivers.ports.address import parse_address
from drivers.ports.cpython import tcp
from tests.support.programs import free_port
from tests.support.runtime_rig import CertificateAuthority


class LockedFiles:
    """A certificate `c.pem` with an encrypted key `c.key`, and another key `other.key`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        authority = CertificateAuthority(folder)
        certificate, key = authority.issue("c")
        _, self.other = authority.issue("other")
        self.plain = folder / "plain.key"
        shutil.copy(key, self.plain)
        authority.run("ec", "-in", self.plain, "-aes256", "-passout", "pass:x", "-out", key)
        (folder / "crl.pem").write_bytes(authority.ca.read_bytes())
        self.certificate, self.key = certificate, key

    def use_https(self) -> None:
        files = CertificateFiles(self.folder, self.certificate, self.key)
        files.load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))

    def use_modbus(self) -> None:
        names = {"certificate": "c.pem", "key": "c.key", "client_ca": "ca.pem"}
        make_context(names, self.folder)

    def use_time_server(self) -> None:
        check_certificate(str(self.certificate), str(self.key))

    def use_est(self) -> None:
        TlsContexts(self.folder, "c")

    def address(self) -> str:
        files = f"ca={self.folder / 'ca.pem'}&cert={self.certificate}&key={self.key}"
        return f"tls:localhost:{free_port()}?{files}"

    def use_session(self) -> None:
        BrokerSession(self.address())

    def use_port(self) -> None:
        tcp.make_context(parse_address(self.address()))


_USES = [
    LockedFiles.use_https,
    LockedFiles.use_modbus,
    LockedFiles.use_time_server,
    LockedFiles.use_est,
    LockedFiles.use_session,
    LockedFiles.use_port,
]
_ERRORS = (OpsError, ConfigError, DriverError, OSError)


@pytest.mark.parametrize("use", _USES)
def test_a_locked_key_is_named(tmp_path: Path, use: Callable[[LockedFiles], None]) -> None:
    files = LockedFiles(tmp_path)
    with pytest.raises(_ERRORS, match=r"c\.key.*the key has a passphrase; use one without"):
        use(files)
    shutil.copy(files.other, files.key)
    with pytest.raises(_ERRORS, match=r"c\.key: not the key of .*c\.pem"):
        use(files)
    files.key.unlink()
    with pytest.raises(_ERRORS, match=r"c\.key: No such file"):
        use(files)


def test_a_locked_key_belongs_to_no_certificate(tmp_path: Path) -> None:
    assert certificate_maker.public_key(LockedFiles(tmp_path).key.read_bytes()) == b""


def test_a_locked_key_on_the_disk_does_not_replace_the_one_in_use(tmp_path: Path) -> None:
    files = LockedFiles(tmp_path)
    shutil.copy(files.plain, files.key)
    found = CertificateFiles(tmp_path, files.certificate, files.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    found.load(context)
    LockedFiles(tmp_path)
    assert not found.load_again(context)


def test_all_certificates_are_loaded_in_one_way() -> None:
    """A call of the library without this callback would ask, and wait."""
    for top in ("agent", "deploy", "drivers", "hil", "protocols"):
        for path in Path(top).rglob("*.py"):
            if "micropython" in path.parts:
                continue
            calls = re.findall(r"\.load_cert_chain\((.*)", path.read_text(encoding="utf-8"))
            assert all("refuse_passphrase" in call for call in calls), path
