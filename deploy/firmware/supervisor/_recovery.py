# SPDX-License-Identifier: Apache-2.0
"""Recovery mode on the service UART, when no start brings up the agent.

Frozen into the firmware. It reads lines and answers with lines. Without a complete command for
QUIET_MS it ends, and the board tries to start again. It services the watchdog.

    help             the commands
    status           the last crash and the reason of the reset
    key              the public key of the unit; it is made if the unit has none
    config SHA256    a configuration follows as lines of Base64, then a line with a dot
    format           erase the storage; the next line must be `yes`
    reset            start again
    prompt           the prompt of MicroPython, for engineers; the watchdog stops
"""

import binascii
import hashlib

try:
    import _files  # type: ignore[import-not-found]
    import _supervisor  # type: ignore[import-not-found]
    import _unit_file  # type: ignore[import-not-found]
    import _unit_key  # type: ignore[import-not-found]
except ImportError:  # in the tests
    from deploy.firmware.supervisor import _files, _supervisor, _unit_file, _unit_key

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    class ServiceConsole(Protocol):
        """The service UART. `read_line` services the watchdog. None: no line ended within the time
        since `begin`.
        """

        def begin(self) -> None: ...
        def read_line(self, timeout_ms: int) -> "str | None": ...
        def write_line(self, text: str) -> None: ...


QUIET_MS = 60_000
MAX_CONFIG = 65536  # bytes
RESET, PROMPT = 0, 1
_COMMANDS = ("help", "status", "key", "config", "format")
_WORDS = "commands: help, status, key, config SHA256, format, reset, prompt"


def recover(console: "ServiceConsole", cause: str, erase: "Callable[[], None]") -> int:
    """Execute commands until RESET or PROMPT."""
    console.write_line("recovery mode: %s" % _WORDS)
    console.begin()
    while True:
        line = console.read_line(QUIET_MS)
        if line is None or line.strip() == "reset":
            return RESET
        words = line.split()
        if words == ["prompt"]:
            return PROMPT
        if words and words[0] in _COMMANDS:
            console.begin()  # a device that sends other lines does not hold the board here
        if words == ["status"]:
            _show_status(console, cause)
        elif len(words) == 2 and words[0] == "config":
            console.write_line(_receive(console, words[1]))
        elif words == ["key"]:
            public = _unit_key.make()
            console.write_line("no key: storage" if public is None else "unit key " + _hex(public))
        elif words == ["format"]:
            if (console.read_line(QUIET_MS) or "").strip() == "yes":
                erase()
                console.write_line("erased")
        elif words:
            console.write_line(_WORDS)


def _show_status(console: "ServiceConsole", cause: str) -> None:
    console.write_line("reset: " + cause)
    for line in (_supervisor.read_crash() or "no crash").splitlines():
        console.write_line(line)


def _receive(console: "ServiceConsole", expected: str) -> str:
    """Receive a configuration; return the answer."""
    text = bytearray()
    while True:
        line = console.read_line(QUIET_MS)
        if line is None or len(text) > MAX_CONFIG:
            return "refused: too long, or no end"
        if line.strip() == ".":
            break
        try:
            part = binascii.a2b_base64(line.strip().encode())
        except ValueError:
            return "refused: not Base64"
        text.extend(part)
        if part:
            console.begin()
    found = _hex(hashlib.sha256(text).digest())
    if found != expected:
        return "refused: the hash is " + found
    for path in (_unit_file.SEAL, _unit_file.COPY):
        _files.remove(path)
    return "stored" if _files.replace(_unit_file.UNIT, bytes(text)) else "refused: storage"


def _hex(data: bytes) -> str:
    return "".join(["%02x" % byte for byte in data])
