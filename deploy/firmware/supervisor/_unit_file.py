# SPDX-License-Identifier: Apache-2.0
"""The configuration file of a board: its seal, its copy, and the configuration to try next.

Frozen into the firmware. Does not check the content; the agent does.

    /flash/unit.json   the configuration
    /flash/unit.seal   its SHA-256
    /flash/unit.copy   the same configuration with its hash in front
    /rom/unit.json     the configuration in the application
    the backup         the same configuration outside the file system (_backup.py)

A new file has neither seal nor copy; the next start makes backup, copy and seal, in this order
(`coldloop firmware flash` removes seal and copy). A file that does not match is damaged, and the
copy or the backup replaces it. A sealed file that differs from the backup is older: the file system
has gone back to an earlier state, and the backup replaces it.
"""

import hashlib

try:
    import _files  # type: ignore[import-not-found]
except ImportError:  # in the tests
    from deploy.firmware.supervisor import _files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from deploy.firmware.supervisor._backup import Backup

UNIT, SEAL, COPY = "/flash/unit.json", "/flash/unit.seal", "/flash/unit.copy"
IMAGE = "/rom/unit.json"
DECOMMISSIONED = "/flash/store/config.ended"


def repair(log: "Callable[[str], None]", backup: "Backup") -> bool:
    """Check and repair the file; return whether there is one."""
    if is_decommissioned():
        erase_copies(backup)
        return _files.read(UNIT) is not None
    text, expected = _files.read(UNIT), _files.read(SEAL)
    raw_copy = _files.read(COPY)
    copy = _files.unseal(raw_copy)
    if text is not None and expected is None and raw_copy is None:
        backup.store(text)
        return _write_copies(text, expected, copy)
    is_good = text is not None and (_hash(text) == expected or text == copy)
    if is_good and text is not None and backup.holds(text):
        return _write_copies(text, expected, copy)
    stored = backup.read()
    if stored is None and is_good and text is not None:
        backup.store(text)
        return _write_copies(text, expected, copy)
    source = stored if stored is not None else copy
    if source is None:
        if text is not None:
            log("configuration: damaged, and its copies too")
        return text is not None
    name = "copy" if stored is None else "backup"
    log("configuration: damaged or old; the %s replaces it" % name)
    _files.replace(UNIT, source)
    backup.store(source)
    if _files.read(UNIT) != source:
        return False
    return _write_copies(source, expected, copy)


def erase_copies(backup: "Backup") -> None:
    """Erase all copies of the configuration, for a decommissioned unit."""
    for path in (COPY, SEAL):
        _files.erase(path)
    backup.erase()


def is_decommissioned() -> bool:
    """Return whether operators have taken the unit out of service (agent/remote/decommission.py).

    Then the agent erases the configuration, and no copy of it may stay.
    """
    return _files.read(DECOMMISSIONED) is not None


def _write_copies(text: bytes, expected: "bytes | None", copy: "bytes | None") -> bool:
    """Make copy and seal, if they are missing or damaged. Returns True: there is a file."""
    if copy != text:
        _files.replace(COPY, _files.seal(text))
    if expected != _hash(text):
        _files.replace(SEAL, _hash(text))
    return True


def _hash(text: bytes) -> bytes:
    return hashlib.sha256(text).digest()
