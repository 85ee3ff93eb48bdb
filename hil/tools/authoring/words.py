# SPDX-License-Identifier: Apache-2.0
"""`coldloop hil words`: list what a scenario can name: faults, measures, row keys, parts.

As text, as JSON (`--json`), as a page that needs no other file (`--page FILE`), or as a JSON Schema
for editors (`--schema`).
"""

import argparse
import json
from html import escape
from typing import Any

from hil.io.regular_file import write_output
from hil.scenario.authoring.schema import schema_text
from hil.scenario.authoring.vocabulary import Word, list_all
from hil.tools.arguments import path_argument

EXAMPLE = "coldloop hil words faults"
KINDS = ("faults", "measures", "row", "parts", "requirements")
_STYLE = (
    "body{font:15px/1.4 system-ui,sans-serif;margin:1rem auto;max-width:70rem;padding:0 .8rem}"
    "table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.2rem .5rem;"
    "border-bottom:1px solid #8884;vertical-align:top}.wide{overflow-x:auto}"
    "input{font:inherit;padding:.3rem .5rem;width:100%;max-width:24rem}code{font-weight:600}"
)
_SCRIPT = (
    'document.getElementById("find").oninput=e=>{const t=e.target.value.toLowerCase();'
    'for(const r of document.querySelectorAll("tbody tr"))'
    "r.hidden=!r.textContent.toLowerCase().includes(t)}"
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("kind", nargs="?", choices=KINDS, help="one kind of words; default: all")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print one JSON object")
    form.add_argument("--schema", action="store_true", help="print the JSON Schema of scenarios")
    form.add_argument("--page", type=path_argument, metavar="FILE.html", help="write a page")


def run(arguments: argparse.Namespace) -> int:
    """Print or write the words."""
    words = list_all()
    if arguments.kind is not None:
        words = {arguments.kind: words[arguments.kind]}
    if arguments.schema:
        print(schema_text(), end="")
    elif arguments.json:
        print(json.dumps(words, ensure_ascii=False))
    elif arguments.page is not None:
        write_output(arguments.page, _write_page(words))
        print(arguments.page)
    else:
        _print_text(words)
    return 0


def _print_text(words: dict[str, list[Word]]) -> None:
    for kind, rows in words.items():
        if len(words) > 1:
            print(f"{kind}:")
        for word in rows:
            notes = _list_notes(word)
            suffix = f"  ({'; '.join(notes)})" if notes else ""
            print(f"{word['name']:24} {word['meaning']}{suffix}")
        print(end="\n" if len(words) > 1 else "")


def _list_notes(word: Word) -> list[str]:
    """Return range, default, parts and time of a word, each as a short text."""
    notes = []
    if word.get("limits"):
        low, high = word["limits"]
        notes.append(f"{low:g} to {high:g} {word['unit']}".strip())
    elif word.get("unit"):
        notes.append(str(word["unit"]))
    if word.get("default") not in (None, ""):
        notes.append(f"default {_show(word['default'])}")
    if word.get("argument"):
        notes.append(f"after the colon: {word['argument']}")
    if word.get("needs"):
        notes.append(f"needs {word['needs']}")
    if word.get("virtual_only"):
        notes.append("virtual time only")
    return notes


def _show(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value}"


def _write_page(words: dict[str, list[Word]]) -> str:
    tables = "".join(_write_table(kind, rows) for kind, rows in words.items())
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>Words of a scenario</title><style>{_STYLE}</style></head><body>"
        '<h1>Words of a scenario</h1><label for="find">Find a word</label> <input id="find">'
        f"{tables}<script>{_SCRIPT}</script></body></html>\n"
    )


def _write_table(kind: str, rows: list[Word]) -> str:
    cells = "".join(
        f"<tr><td><code>{escape(word['name'])}</code></td><td>{escape(word['meaning'])}</td>"
        f"<td>{escape('; '.join(_list_notes(word)))}</td></tr>"
        for word in rows
    )
    head = "<tr><th>word</th><th>meaning</th><th>range, default, parts</th></tr>"
    return (
        f"<h2>{kind}</h2><div class=wide tabindex=0><table><thead>{head}</thead>"
        f"<tbody>{cells}</tbody></table></div>"
    )
