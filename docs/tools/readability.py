# SPDX-License-Identifier: Apache-2.0
"""How easy the documents are to read, in three figures a file: `make readability`.

    python docs/tools/readability.py            a table
    python docs/tools/readability.py --check    exit 1 and name what misses the target
    python docs/tools/readability.py --long     also print each sentence that misses it

Figures: median words a sentence (target: at most 18); sentences above 35 words (none); clauses
with "what" or "who" as the subject, such as "What is measured goes to ..." (none).

Sentences are those of paragraphs and lists. A code span counts as one word. Code blocks, headings
and diagrams are no sentences. Cells of tables do not count for the median, but a cell must not hide
a sentence above 35 words. Of CHANGELOG.md only the newest section is read.
"""

import argparse
import re
import statistics
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).resolve().parents[2]
MEDIAN = 18
LONGEST = 35
ROOT_FILES = ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")

# A full stop that ends no sentence: after these, or between digits (which has no space).
_SHORT = re.compile(r"\b(e\.g|i\.e|vs|cf|approx|No|St|Dr)\.$")
_END = re.compile(r"(?<=[.!?])[\"')\]*_]*\s+(?=[\"'(\[*_]*[A-Z0-9`<])")
# "What is measured goes", "; who asks gets", "and whatever comes is".
_CLAUSE = re.compile(
    r"(?:^|[;:.,]\s+(?:and\s+|but\s+|so\s+)?|\b(?:and|but|because|that|when|if|so|while|where)\s+)"
    r"(what|who|whoever|whatever)\s+(?!else\b)\w+",
    re.IGNORECASE,
)


class Figures:
    """The figures of one file, and what misses the target."""

    def __init__(self, name: str, prose: list[str], cells: list[str]) -> None:
        self.name = name
        self.sentences = len(prose)
        self.median = statistics.median([words(s) for s in prose]) if prose else 0
        self.long = [s for s in (*prose, *cells) if words(s) > LONGEST]
        self.clauses = [s for s in prose if not s.endswith("?") and _CLAUSE.search(s)]

    def good(self) -> bool:
        """Whether the file meets the target."""
        return self.median <= MEDIAN and not self.long and not self.clauses


def words(sentence: str) -> int:
    """Count what is separated by blanks and has a letter or a digit."""
    return sum(any(c.isalnum() for c in word) for word in sentence.split())


def _plain(inline: Token) -> str:
    """The text of an inline token; a code span is the word `code`."""
    parts = []
    for child in inline.children or ():
        if child.type == "text":
            parts.append(child.content)
        elif child.type == "code_inline":
            parts.append("`code`")
        elif child.type in ("softbreak", "hardbreak"):
            parts.append(" ")
    return "".join(parts).strip()


def split(text: str) -> Iterator[str]:
    """Cut a text into sentences."""
    begun = ""
    for piece in _END.split(text):
        begun = f"{begun} {piece}".strip()
        if not _SHORT.search(begun):
            yield begun
            begun = ""
    if begun:
        yield begun


def figures(path: Path) -> Figures:
    """Read one file."""
    text = path.read_text(encoding="utf-8")
    if path.name == "CHANGELOG.md":
        text = "\n## ".join(text.split("\n## ")[:2])
    prose: list[str] = []
    cells: list[str] = []
    into: list[str] | None = None
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        if token.type == "paragraph_open":
            into = prose
        elif token.type in ("td_open", "th_open"):
            into = cells
        elif token.type == "heading_open":
            into = None
        elif token.type == "inline" and into is not None:
            into.extend(s for s in split(_plain(token)) if words(s))
    return Figures(path.relative_to(ROOT).as_posix(), prose, cells)


def documents() -> list[Path]:
    """Every document, those of the root first."""
    return [ROOT / name for name in ROOT_FILES] + sorted((ROOT / "docs").rglob("*.md"))


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table; with --check judge it."""
    parser = argparse.ArgumentParser(description="How easy the documents are to read.")
    parser.add_argument("--check", action="store_true", help="exit 1 if a file misses the target")
    parser.add_argument("--long", action="store_true", help="print what misses it")
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help="these alone")
    arguments = parser.parse_args(argv)
    found = [figures(path.resolve()) for path in arguments.files or documents()]
    bad = [one for one in found if not one.good() and one.name not in PENDING]
    if not arguments.check:
        print(f"{'file':42}{'sentences':>10}{'median':>8}{'long':>6}{'clauses':>9}")
    for one in bad if arguments.check else found:
        row = f"{one.name:42}{one.sentences:10}{one.median:8g}{len(one.long):6}"
        print(f"{row}{len(one.clauses):9}")
        if arguments.check or arguments.long:
            print("".join(f"    {s}\n" for s in (*one.long, *one.clauses)), end="")
    return 1 if arguments.check and bad else 0


# Written before the target was set, and not yet rewritten.
PENDING: tuple[str, ...] = ()

if __name__ == "__main__":
    sys.exit(main())
