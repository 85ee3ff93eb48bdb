# SPDX-License-Identifier: Apache-2.0
"""The rule for requests that a browser sends for a page of another origin, and the way past it.

Does not check accounts. A browser adds the passwords and addresses that it knows to requests of any
page. So each HTTP server of the unit gives its requests to `dispatch`; a request of a foreign page
reaches no route. `tests/deploy/northbound/http/test_page_rule.py` checks that there is no other
way.

    Sec-Fetch-Site (W3C Fetch Metadata)   same-origin or none; else only GET of a link in a window
    Origin (RFC 6454)                     absent, or that of this server
    a body, or a Content-Type             application/json: a page sends it elsewhere only after a
                                          question (CORS preflight) that no server of ours grants

A program that is no browser sends none of the first two, so it only needs its Content-Type.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

_READS = ("GET", "HEAD")
_OWN_SITES = ("same-origin", "none")
"""`none`: typed by a person, or a bookmark."""


@dataclass(frozen=True, slots=True)
class PageRefusal:
    """Why a request reaches no route. `status`: of HTTP."""

    status: int
    text: str


FOREIGN = PageRefusal(403, "another page sends this request")
NO_JSON = PageRefusal(415, "a body needs the Content-Type application/json")


def find_refusal(
    method: str, fields: Mapping[str, str], length: int, scheme: str
) -> PageRefusal | None:
    """Return why a request is refused; None: it may reach its route.

    `fields`: of the head; a name may have any case. `length`: bytes of the body. `scheme`: http or
    https, of this server.
    """
    reads = method in _READS
    site = fields.get("Sec-Fetch-Site", "").lower()
    if site and site not in _OWN_SITES and not (reads and _is_link(fields)):
        return FOREIGN
    own = f"{scheme}://{fields.get('Host', '')}".lower()
    if fields.get("Origin", own).lower() != own:
        return FOREIGN
    kind = fields.get("Content-Type", "").partition(";")[0].strip().lower()
    return NO_JSON if not reads and (kind or length) and kind != "application/json" else None


def _is_link(fields: Mapping[str, str]) -> bool:
    """Return whether a person follows a link: the page that has it cannot read the answer."""
    return (fields.get("Sec-Fetch-Mode", ""), fields.get("Sec-Fetch-Dest", "")) == (
        "navigate",
        "document",
    )


async def dispatch(
    app: Any, request: Any, scheme: str, refuse: Callable[[Any, PageRefusal], Any]
) -> Any:
    """Return the answer of an app of microdot; that of `refuse` if the rule refuses the request.

    `request` None: its bytes were no request; the app answers it.
    """
    if request is not None:
        length = request.content_length or 0
        refusal = find_refusal(request.method, request.headers, length, scheme)
        if refusal is not None:
            return refuse(request, refusal)
    return await app.dispatch_request(request)
