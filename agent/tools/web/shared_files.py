# SPDX-License-Identifier: Apache-2.0
"""Static files that all pages share: the bench's page and the panel at the cabinet.

Not a web server: `hil.page` and `deploy.northbound.panel` serve these files with their own. The
files need no other host and no build step, and each works under a Content-Security-Policy without
inline script and inline style. dom.js makes elements, texts.js has the languages, pid.js draws
the piping and instrumentation diagram, plots.js draws curves with the vendored uPlot (MIT).
"""

from pathlib import Path

_JAVASCRIPT, _CSS = "text/javascript; charset=utf-8", "text/css; charset=utf-8"
SHARED = {
    "base.css": _CSS,
    "dom.js": _JAVASCRIPT,
    "texts.js": _JAVASCRIPT,
    "pid.js": _JAVASCRIPT,
    "plots.js": _JAVASCRIPT,
    "uplot/uPlot.iife.min.js": _JAVASCRIPT,
    "uplot/uPlot.min.css": _CSS,
    "uplot/LICENSE": "text/plain; charset=utf-8",
}
"""Name of each shared file and its content type."""


def read_shared(name: str) -> bytes:
    """Return the content of a shared file. Raises KeyError: the name is not in `SHARED`."""
    if name not in SHARED:
        raise KeyError(name)
    return (Path(__file__).parent / "static" / name).read_bytes()
