# SPDX-License-Identifier: Apache-2.0
"""Replacement of key and certificate: each power cut and each full disk leaves one usable pair."""

import contextlib
import os
import shutil
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deploy.errors import OpsError
from deploy.northbound.http.certificate import CertificateStore
from tests.support.programs import require_program

SUBJECT = {"CommonName": "cdu.test"}
_MOST_STEPS = 20


class PowerCutError(BaseException):
    """The power is cut."""


class DiskSteps:
    """Counts the changes of folders; number `at` and, if `stays`, all later ones fail."""

    def __init__(self, patch: pytest.MonkeyPatch, at: int, error: BaseException, stays: bool):
        self.count, self._at, self._error, self._stays = 0, at, error, stays
        for name in ("replace", "unlink"):
            patch.setattr(os, name, self._counted(getattr(os, name)))

    def _counted(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            self.count += 1
            if self.count == self._at or (self._stays and self.count > self._at):
                raise self._error
            return function(*arguments, **named)

        return call


def signed(folder: Path, request: str) -> str:
    """Sign a CSR by openssl with a new key that is its own issuer."""
    openssl = require_program("openssl")
    (folder / "r.csr").write_text(request)
    make = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=CA"]  # fmt: skip
    issue = ["x509", "-req", "-in", "r.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-out", "c.pem"]
    for arguments in (make, issue):
        subprocess.run([openssl, *arguments], cwd=folder, check=True, capture_output=True)
    return (folder / "c.pem").read_text()


def a_store(folder: Path) -> CertificateStore:
    """Return a store; a start must always give a pair that TLS can use."""
    return CertificateStore(folder / "https", "cdu.test")


def the_name(store: CertificateStore) -> str:
    """Return the fingerprint in use."""
    return store.describe().fingerprint


@pytest.mark.parametrize("stays", [False, True])
@pytest.mark.parametrize("error", [PowerCutError(), OSError(28, "No space left on device")])
def test_each_step_of_a_replacement_can_be_the_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, stays: bool
) -> None:
    store = a_store(tmp_path)
    results = set()
    for at in range(1, _MOST_STEPS):
        chain = signed(tmp_path, store.make_request(SUBJECT))
        before, accepted = the_name(store), True
        with monkeypatch.context() as patch:
            steps = DiskSteps(patch, at, error, stays)
            try:
                store.replace(chain)
            except OpsError:
                accepted = False
            except (PowerCutError, OSError):
                accepted = False
                assert isinstance(error, PowerCutError), "an error of the disk is an OpsError"
            was_cut = steps.count >= at
        after = a_store(tmp_path)  # raises OpsError if the files do not belong together
        changed = the_name(after) != before
        assert changed or not accepted
        assert accepted or not changed or isinstance(error, PowerCutError)
        results.add(changed)
        store = after
        if not was_cut:
            break
    else:
        pytest.fail("the replacement has no end")
    assert True in results
    assert not list((tmp_path / "https").glob("pair.pem")), "nothing is left after a good end"


def test_a_stopped_replacement_serves_also_while_the_disk_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = a_store(tmp_path)
    chain = signed(tmp_path, store.make_request(SUBJECT))
    with monkeypatch.context() as patch:
        DiskSteps(patch, 4, PowerCutError(), stays=True)
        with pytest.raises(PowerCutError):
            store.replace(chain)
    with monkeypatch.context() as patch:
        DiskSteps(patch, 1, OSError(28, "No space left on device"), stays=True)
        full = a_store(tmp_path)
        assert full.pem.startswith(chain[:200])
        assert "PRIVATE" not in full.pem
    assert a_store(tmp_path).pem == full.pem


def test_a_request_on_a_full_disk_keeps_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = a_store(tmp_path)
    chain = signed(tmp_path, store.make_request(SUBJECT))
    with monkeypatch.context() as patch:
        DiskSteps(patch, 1, OSError(28, "No space left on device"), stays=True)
        with pytest.raises(OpsError):
            store.make_request(SUBJECT)
    store.replace(chain)


def test_an_empty_key_of_a_request_is_left_out(tmp_path: Path) -> None:
    store = a_store(tmp_path)
    (tmp_path / "https" / "request.key").write_bytes(b"")
    with pytest.raises(OpsError, match="does not belong"):
        store.replace(a_store(tmp_path / "other").pem)


def test_files_that_another_program_replaced_are_used_when_both_are_there(tmp_path: Path) -> None:
    store, other = a_store(tmp_path), a_store(tmp_path / "other")
    before = served(store)
    for name in ("certificate.pem", "key.pem"):
        store.refresh()
        assert served(store) == before
        shutil.copy(tmp_path / "other" / "https" / name, tmp_path / "https" / name)
    store.refresh()
    assert served(store) == other.pem != before


def served(store: CertificateStore) -> str:
    """Return the certificate that a client gets in a handshake."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(to_client, to_server)
    server = store.context.wrap_bio(to_server, to_client, server_side=True)
    for side in (client, server, client):
        with contextlib.suppress(ssl.SSLWantReadError):
            side.do_handshake()
    return ssl.DER_cert_to_PEM_cert(client.getpeercert(True) or b"")
