# SPDX-License-Identifier: Apache-2.0
"""Secrets in files that are changed while the relay runs."""

from pathlib import Path

import pytest

from deploy.errors import DeployError
from deploy.secret_file import LoginFile, SecretFile, open_secret


def test_a_changed_file_counts_and_a_damaged_one_does_not(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text(" first\n")
    secret = SecretFile(path)
    assert secret.text() == "first"
    path.write_text("second")
    assert secret.text() == "second"
    for damaged in (b"", b"\xff\xfe"):
        path.write_bytes(damaged)
        assert secret.text() == "second"
    path.unlink()
    assert secret.text() == "second"


def test_a_login_has_two_lines(tmp_path: Path) -> None:
    path = tmp_path / "login"
    path.write_text("user\npassword\n")
    login = LoginFile(path)
    path.write_text("user\n")
    assert login.login() == ("user", "password")
    with pytest.raises(DeployError, match="not two lines"):
        LoginFile(path)


def test_a_bad_file_is_an_error_at_the_start(tmp_path: Path) -> None:
    assert open_secret(None) is None
    path = tmp_path / "secret"
    with pytest.raises(FileNotFoundError):
        open_secret(str(path))
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(DeployError, match="not a text"):
        open_secret(str(path))
    path.write_bytes(b" \n")
    with pytest.raises(DeployError, match="empty"):
        open_secret(str(path))
