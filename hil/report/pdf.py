# SPDX-License-Identifier: Apache-2.0
"""The report as PDF: Chromium prints the HTML page with its print style."""

import shutil
import subprocess
import tempfile
from pathlib import Path

from hil.io.regular_file import write_whole

PROGRAM_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
_TIMEOUT_S = 120
_PDF_END = b"%%EOF"


def find_chromium() -> str | None:
    """Find Chromium; None: not installed."""
    return next((path for name in PROGRAM_NAMES if (path := shutil.which(name))), None)


def print_pdf(page: Path, target: Path) -> bool:
    """Print a page into `target`; False: no Chromium, or no complete output.

    Raises BenchError if `target` cannot be written.
    """
    program = find_chromium()
    if program is None:
        return False
    with tempfile.TemporaryDirectory() as profile:
        printed = Path(profile) / "printed.pdf"
        command = [
            program,
            "--headless",
            "--no-sandbox",  # the page is a local file of this bench
            "--disable-gpu",
            f"--user-data-dir={profile}",
            "--no-pdf-header-footer",
            "--virtual-time-budget=4000",
            f"--print-to-pdf={printed}",
            page.resolve().as_uri(),
        ]
        try:
            subprocess.run(command, capture_output=True, timeout=_TIMEOUT_S, check=False)
        except subprocess.TimeoutExpired:
            return False
        data = printed.read_bytes() if printed.is_file() else b""
        if not data.rstrip().endswith(_PDF_END):  # missing, or cut by a full disk
            return False
        write_whole(target, data)
    return True
