# SPDX-License-Identifier: Apache-2.0
"""A file that holds one secret: a token, a password, or a login of two lines.

The file is read at each use, so a secret can be changed while the relay runs. While the file cannot
be read, or is empty because it is being written, the text before it counts.
"""

from contextlib import suppress
from pathlib import Path

from deploy.errors import DeployError


class SecretFile:
    """The secret in the file `path`, without white space around it.

    Raises DeployError if there is none, OSError if the file cannot be read.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self._text = self._read()

    def text(self) -> str:
        """Return the present secret."""
        with suppress(DeployError, OSError):
            self._text = self._read()
        return self._text

    def _read(self) -> str:
        try:
            text = self._path.read_text().strip()
        except UnicodeDecodeError:
            raise DeployError(f"{self._path}: not a text") from None
        if not text:
            raise DeployError(f"{self._path}: empty")
        return text


class LoginFile(SecretFile):
    """User and password in a file of two lines."""

    def login(self) -> tuple[str, str]:
        """Return the present user and password."""
        user, password = self.text().split()
        return user, password

    def _read(self) -> str:
        text = super()._read()
        if len(text.split()) != 2:
            raise DeployError(f"{self._path}: not two lines, user and password")
        return text


def open_secret(path: str | None) -> SecretFile | None:
    """Return the secret of an option, None if it was not given. Raises as SecretFile."""
    return None if path is None else SecretFile(path)
