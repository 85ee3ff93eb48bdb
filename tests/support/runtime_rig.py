# SPDX-License-Identifier: Apache-2.0
"""Rig for tests of the runtimes: a toy agent as a process, pseudo-terminals, a temporary CA."""

import os
import select
import subprocess
import sys
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.programs import require_program
from tests.support.repository import ROOT, micropython_environment

TIMEOUT_S = 20.0  # a hang fails the test; no test checks speed
INTERPRETERS = ("cpython", "micropython")


class ToyProcess:
    """`tests.support.toy_agent` on one interpreter; the test reads its output line by line."""

    def __init__(self, interpreter: str, errors: Path, *arguments: str) -> None:
        if interpreter == "cpython":
            command = [sys.executable, "-X", "dev"]
        else:
            command = [require_program("micropython")]
        self._errors = errors
        self.arguments = arguments
        with open(errors, "wb") as log:
            self.process = subprocess.Popen(
                [*command, "-m", "tests.support.toy_agent", *arguments],
                cwd=ROOT,
                env={**os.environ, **micropython_environment()},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        self._buffer = b""
        self.lines: list[str] = []

    def expect(self, line: str) -> None:
        """Read until the toy agent prints `line`."""
        self.expect_either(line)

    def expect_either(self, *lines: str) -> str:
        """Read until the toy agent prints one of `lines`; return it."""
        end = time.monotonic() + TIMEOUT_S
        while True:
            received = self._next_line(end)
            if received in lines:
                return received

    def expect_all(self, *lines: str) -> None:
        """Read until the toy agent has printed all `lines`; their order does not count."""
        missing = set(lines)
        while missing:
            missing.remove(self.expect_either(*missing))

    def _next_line(self, end: float) -> str:
        assert self.process.stdout is not None
        while b"\n" not in self._buffer:
            ready, _, _ = select.select(
                [self.process.stdout], [], [], max(0, end - time.monotonic())
            )
            data = os.read(self.process.stdout.fileno(), 65536) if ready else b""
            if not data:
                raise AssertionError(
                    f"output of the toy agent: {self.lines[-20:]}\n{self.errors()}"
                )
            self._buffer += data
        line, self._buffer = self._buffer.split(b"\n", 1)
        self.lines.append(line.decode())
        return self.lines[-1]

    def errors(self) -> str:
        """Return the output on stderr so far."""
        return self._errors.read_text(encoding="utf-8")

    def stop(self) -> None:
        """End the process in any state."""
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


@contextmanager
def run_toy(interpreter: str, folder: Path, *arguments: str) -> Iterator[ToyProcess]:
    """Run the toy agent during the block."""
    process = ToyProcess(interpreter, folder / "stderr", *arguments)
    try:
        yield process
    finally:
        process.stop()


class Pty:
    """A pseudo-terminal; `path` is the serial port, the test has the other end."""

    def __init__(self) -> None:
        self.master, self.slave = os.openpty()
        tty.setraw(self.slave)
        self.path = os.ttyname(self.slave)

    def write(self, data: bytes) -> None:
        os.write(self.master, data)

    def read(self, count: int, chunk: int = 4096, pause_s: float = 0.0) -> bytes:
        """Read exactly `count` bytes, at most `chunk` at a time."""
        received = b""
        end = time.monotonic() + TIMEOUT_S
        while len(received) < count:
            ready, _, _ = select.select([self.master], [], [], max(0, end - time.monotonic()))
            assert ready, f"{len(received)} of {count} bytes received"
            received += os.read(self.master, min(chunk, count - len(received)))
            time.sleep(pause_s)
        return received

    def close(self) -> None:
        """Close the end of the test; then the path does not exist."""
        if self.master >= 0:
            os.close(self.master)
            os.close(self.slave)
        self.master = -1


@contextmanager
def open_pty() -> Iterator[Pty]:
    """Open a pseudo-terminal for the block."""
    line = Pty()
    try:
        yield line
    finally:
        line.close()


class CertificateAuthority:
    """A temporary CA and its certificates, made with the openssl command."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._openssl = require_program("openssl")
        self.ca = folder / "ca.pem"
        self.key = folder / "ca.key"
        usage: list[str | Path] = [
            "-addext",
            "keyUsage=critical,keyCertSign",
        ]  # Python 3.13 requires it
        output: list[str | Path] = ["-keyout", self.key, "-out", self.ca]
        self.run(
            "req",
            "-x509",
            *_KEY_OPTIONS,
            *_VALIDITY_OPTIONS,
            "-subj",
            "/CN=throwaway CA",
            *usage,
            *output,
        )

    def run(self, *arguments: "str | Path") -> None:
        subprocess.run([self._openssl, *arguments], check=True, capture_output=True)

    def issue(self, name: str, kind: str = "DNS", more: str = "") -> "tuple[Path, Path]":
        """Make a certificate for a host name (kind IP: an address) and its key.

        `more`: another line for the extensions of openssl.
        """
        stem = self._folder / name
        certificate, key = stem.with_suffix(".pem"), stem.with_suffix(".key")
        request, extension = stem.with_suffix(".csr"), stem.with_suffix(".ext")
        extension.write_text(
            f"subjectAltName={kind}:{name}\nauthorityKeyIdentifier=keyid\n{more}\n",
            encoding="utf-8",
        )
        self.run("req", *_KEY_OPTIONS, "-subj", f"/CN={name}", "-keyout", key, "-out", request)
        signer: list[str | Path] = [
            "-CA",
            self.ca,
            "-CAkey",
            self.key,
            "-CAcreateserial",
            *_VALIDITY_OPTIONS,
        ]
        output: list[str | Path] = ["-extfile", extension, "-out", certificate]
        self.run("x509", "-req", "-in", request, *signer, *output)
        return certificate, key


_KEY_OPTIONS = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
_VALIDITY_OPTIONS = ("-days", "2")
