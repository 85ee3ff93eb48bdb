# SPDX-License-Identifier: Apache-2.0
"""Sphinx's settings for the documents: `make docs` builds the site with them.

The source folder is the root of the repository, so that README.md, ARCHITECTURE.md and the
documents are one set, and each link between them is checked. Only Markdown files are read.

A block ```mermaid is a diagram. Where `docs/tools/site.sh` has put mermaid's JavaScript into
build/mermaid the browser draws it; elsewhere its text stays visible.
"""

import html
from pathlib import Path
from typing import TYPE_CHECKING, Any

from docutils import nodes
from docutils.parsers.rst import Directive

if TYPE_CHECKING:
    from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parent.parent
MERMAID = ROOT / "build" / "mermaid"

project = "coldloop"
project_copyright = "the coldloop authors, Apache-2.0"
extensions = ["myst_parser"]
root_doc = "docs/index"
include_patterns = ["*.md", "docs/*.md", "docs/**/*.md"]
exclude_patterns = ["build", "dist", "out", "tests", "hil", "agent", "deploy", "drivers"]
exclude_patterns += ["protocols", "benchmarks", ".venv", ".pypy", ".git", ".*_cache", ".ci"]

nitpicky = True
show_warning_types = True
myst_heading_anchors = 4
myst_fence_as_directive = ["mermaid"]
myst_enable_extensions = ["colon_fence", "deflist"]
highlight_language = "text"

html_theme = "furo"
html_title = "coldloop"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_copy_source = False
html_use_index = False
html_additional_pages = {"index": "first_page.html"}
templates_path = ["_templates"]
html_theme_options = {"navigation_with_keys": True}


class Mermaid(Directive):
    """A diagram: its text in <pre class="mermaid">, which the JavaScript turns into a picture."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        """Make the element."""
        text = html.escape("\n".join(self.content))
        return [nodes.raw("", f'<pre class="mermaid">{text}</pre>\n', format="html")]


def setup(app: "Sphinx") -> dict[str, Any]:
    """Add the directive, and the JavaScript where it is there."""
    app.add_directive("mermaid", Mermaid)
    if (MERMAID / "mermaid.min.js").exists():
        app.config.html_static_path.append(str(MERMAID))
        app.add_js_file("mermaid.min.js")
        app.add_js_file("diagrams.js")
    return {"parallel_read_safe": True, "parallel_write_safe": True}
