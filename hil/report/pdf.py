# SPDX-License-Identifier: Apache-2.0
"""The report as PDF: Chromium prints the HTML page with its print style."""

import shutil
import subprocess
import tempfile
from pathlib import Path

PROGRAM_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
_TIMEOUT_S = 120


def find_chromium() -> str | None:
    """Find Chromium; None: not installed."""
    return next((path for name in PROGRAM_NAMES if (path := shutil.which(name))), None)


def print_pdf(page: Path, target: Path) -> bool:
    """Print a page into `target`; False: no Chromium, or no output."""
    program = find_chromium()
    if program is None:
        return False
    with tempfile.TemporaryDirectory() as profile:
        command = [
            program,
            "--headless",
            "--no-sandbox",  # the page is a local file of this bench
            "--disable-gpu",
            f"--user-data-dir={profile}",
            "--no-pdf-header-footer",
            "--virtual-time-budget=4000",
            f"--print-to-pdf={target}",
            page.resolve().as_uri(),
        ]
        try:
            subprocess.run(command, capture_output=True, timeout=_TIMEOUT_S, check=False)
        except subprocess.TimeoutExpired:
            return False
    return target.exists()
