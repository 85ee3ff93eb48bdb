# SPDX-License-Identifier: Apache-2.0
"""Files that only their user can read."""

import os
from pathlib import Path
from typing import IO

from deploy.errors import OpsError


def write_private(path: Path, data: bytes) -> None:
    """Write a file that only its user can read. Raises `OpsError`."""

    def opener(name: str, flags: int) -> int:
        return os.open(name, flags, 0o600)

    try:
        file: IO[bytes]
        with open(path, "wb", opener=opener) as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(data)
    except OSError as error:
        raise OpsError(f"{path}: {error.strerror}") from None
