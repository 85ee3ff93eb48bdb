# SPDX-License-Identifier: Apache-2.0
"""The configuration file of a board: its seal, its copy, and the configuration to try next.

Frozen into the firmware. Does not check the content; the agent does.

    /flash/unit.json   the configuration
    /flash/unit.seal   its SHA-256
    /flash/unit.copy   the same configuration with its hash in front
    /rom/unit.json     the configuration in the application

A new file has neither seal nor copy; the next start makes them (`coldloop firmware flash` removes
them). A file that does not match is damaged, and the copy replaces it.
"""

import hashlib

try:
    import _files  # type: ignore[import-not-found]
except ImportError:  # in the tests
    from deploy.firmware.supervisor import _files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

UNIT, SEAL, COPY = "/flash/unit.json", "/flash/unit.seal", "/flash/unit.copy"
IMAGE = "/rom/unit.json"
ENDED = "/flash/store/config.ended"


def repair(log: "Callable[[str], None]") -> bool:
    """Check and repair the file; return whether there is one."""
    if is_decommissioned():
        for path in (COPY, SEAL):
            _files.erase(path)
        return _files.read(UNIT) is not None
    text, expected = _files.read(UNIT), _files.read(SEAL)
    raw_copy = _files.read(COPY)
    copy = _files.unseal(raw_copy)
    is_new = expected is None and raw_copy is None
    if text is not None and (is_new or _hash(text) == expected or text == copy):
        _write_seal_and_copy(text, expected, copy)
        return True
    if copy is None:
        if text is not None:
            log("configuration: damaged, and its copy too")
        return text is not None
    log("configuration: damaged; the copy replaces it")
    _files.replace(UNIT, copy)
    _files.replace(SEAL, _hash(copy))
    return bool(_files.read(UNIT) == copy)


def is_decommissioned() -> bool:
    """Return whether operators have taken the unit out of service (agent/remote/decommission.py).

    Then the agent erases the configuration, and no copy of it may stay.
    """
    return _files.read(ENDED) is not None


def _write_seal_and_copy(text: bytes, expected: "bytes | None", copy: "bytes | None") -> None:
    """Make seal and copy, if they are missing or damaged."""
    if copy != text:
        _files.replace(COPY, _files.seal(text))
    if expected != _hash(text):
        _files.replace(SEAL, _hash(text))


def _hash(text: bytes) -> bytes:
    return hashlib.sha256(text).digest()
