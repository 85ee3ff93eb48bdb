# SPDX-License-Identifier: Apache-2.0
"""Gate: each source file starts with the licence line, after a shebang if it has one."""

from pathlib import PurePath

import pytest

from tests.support.repository import ROOT, repo_files

LINES = {
    ".py": "# SPDX-License-Identifier: Apache-2.0",
    ".sh": "# SPDX-License-Identifier: Apache-2.0",
    ".c": "// SPDX-License-Identifier: Apache-2.0",
    ".h": "// SPDX-License-Identifier: Apache-2.0",
    ".js": "// SPDX-License-Identifier: Apache-2.0",
    ".css": "/* SPDX-License-Identifier: Apache-2.0 */",
}
VENDORED = ("agent/tools/web/static/uplot/",)


def licence_line(name: str, text: str) -> str | None:
    """Return the licence line that a file needs; None: it is not a source file of ours."""
    if name.startswith(VENDORED):
        return None
    return LINES.get(PurePath(name).suffix, LINES[".sh"] if text.startswith("#!") else None)


def test_source_files_have_a_licence_line() -> None:
    missing = []
    for name in repo_files():
        text = (ROOT / name).read_bytes()[:400].decode(errors="replace")
        line = licence_line(name, text)
        if line is not None and line not in text.splitlines()[:2]:
            missing.append(name)
    assert missing == []


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("a.py", "", LINES[".py"]),
        ("tool", "#!/bin/sh\n", LINES[".sh"]),
        ("a.md", "# title\n", None),
        ("agent/tools/web/static/uplot/uPlot.iife.min.js", "", None),
    ],
)
def test_the_kind_of_a_file_selects_the_line(name: str, text: str, line: str | None) -> None:
    assert licence_line(name, text) == line
