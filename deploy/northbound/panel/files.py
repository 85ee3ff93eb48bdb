# SPDX-License-Identifier: Apache-2.0
"""The static files of the panel, read once, with the headers that keep a browser strict.

Does not serve files by a path of the request: the names are a fixed list. The policy permits
script, style and data from this server only, no inline script or style, no frame and no form to
another place. `require-trusted-types-for` lets a browser refuse each text that would become markup.
"""

import hashlib
from functools import cache
from pathlib import Path
from typing import NamedTuple

from agent.tools.web.shared_files import SHARED, read_shared

_JAVASCRIPT, _CSS = "text/javascript; charset=utf-8", "text/css; charset=utf-8"
_OWN = {
    "index.html": "text/html; charset=utf-8",
    "panel.css": _CSS,
    "texts_en.js": _JAVASCRIPT,
    "texts_zh.js": _JAVASCRIPT,
    "link.js": _JAVASCRIPT,
    "format.js": _JAVASCRIPT,
    "keyboard.js": _JAVASCRIPT,
    "dialogs.js": _JAVASCRIPT,
    "alarms.js": _JAVASCRIPT,
    "overview.js": _JAVASCRIPT,
    "control.js": _JAVASCRIPT,
    "unit.js": _JAVASCRIPT,
    "panel.js": _JAVASCRIPT,
}
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
"""Headers of each answer of the panel."""


class StaticFile(NamedTuple):
    """Content, content type and entity tag of a file."""

    data: bytes
    content_type: str
    etag: str


@cache
def find_file(name: str) -> StaticFile | None:
    """Return a file of the panel; None: there is no such file."""
    if name in SHARED:
        data, content_type = read_shared(name), SHARED[name]
    elif name in _OWN:
        folder = Path(__file__).parent / "static"
        data, content_type = (folder / name).read_bytes(), _OWN[name]
    else:
        return None
    return StaticFile(data, content_type, f'"{hashlib.sha256(data).hexdigest()[:20]}"')
