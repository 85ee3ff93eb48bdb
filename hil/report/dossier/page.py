# SPDX-License-Identifier: Apache-2.0
"""Writes the dossier: one HTML page without external files, its PDF, and the same as JSON.

Does not collect; see `hil.report.dossier.sections`. All texts are escaped, because a person or a
device wrote some of them; so are characters that turn the direction of the text after them. The PDF
needs Chromium (`hil.report.pdf`).
"""

import json
import re
from dataclasses import asdict
from datetime import UTC, datetime
from html import escape
from importlib import resources
from pathlib import Path

from hil.errors import BenchError
from hil.io.regular_file import check_target, write_regular
from hil.report.dossier.sections import Section, Table
from hil.report.pdf import print_pdf

_TURNS = re.compile("[\u202a-\u202e\u2066-\u2069]")
"""Embeddings, overrides and isolates of Unicode: with them a name can show a hash backwards."""
HTML, PDF, JSON = "dossier.html", "dossier.pdf", "dossier.json"


def write_dossier(title: str, sections: list[Section], folder: Path) -> list[Path]:
    """Write the files into `folder`; return their paths. Raises BenchError.

    Nothing is written if one of the names is a folder or a symbolic link.
    """
    content = {"title": title, "sections": [asdict(section) for section in sections]}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in (HTML, JSON, PDF):
            check_target(folder / name)
        (folder / PDF).unlink(missing_ok=True)
    except OSError as error:
        raise BenchError(f"{folder}: {error.strerror}; name a folder that can be written") from None
    write_regular(folder / HTML, format_page(title, sections))
    write_regular(folder / JSON, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    printed = [folder / PDF] if print_pdf(folder / HTML, folder / PDF) else []
    return [folder / HTML, folder / JSON, *printed]


def _escaped(text: str) -> str:
    """Return a text for HTML, with visible codes for characters that turn its direction."""
    return escape(_TURNS.sub(lambda found: f"\\u{ord(found[0]):04x}", text))


def format_page(title: str, sections: list[Section]) -> str:
    """Return the page."""
    style = resources.files("hil.report").joinpath("static/report.css").read_text("utf-8")
    body = "".join(_section(i, section) for i, section in enumerate(sections, 1))
    made = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return (
        "<!doctype html>\n"
        '<html lang="en"><head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width,initial-scale=1">\n'
        f"<title>{_escaped(title)}</title>\n<style>{style}</style>\n</head><body>\n"
        f'<header class="incomplete"><h1>{_escaped(title)}</h1>'
        f"<p>Dossier, written {made}. It contains measured figures only.</p></header>\n"
        f"{body}</body></html>\n"
    )


def _section(number: int, section: Section) -> str:
    notes = "".join(f"<p>{_escaped(note)}</p>" for note in section.notes)
    tables = "".join(map(_table, section.tables))
    return f"<section><h2>{number} {_escaped(section.title)}</h2>{notes}{tables}</section>\n"


def _table(table: Table) -> str:
    title = f"<h3>{_escaped(table.title)}</h3>" if table.title else ""
    head = "".join(f"<th>{_escaped(cell)}</th>" for cell in table.head)
    rows = "".join(
        "<tr>" + "".join(f"<td>{_escaped(cell)}</td>" for cell in row) + "</tr>"
        for row in table.rows
    )
    return f'{title}<div class="wide" tabindex="0"><table><tr>{head}</tr>{rows}</table></div>'
