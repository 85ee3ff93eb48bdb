# SPDX-License-Identifier: Apache-2.0
"""The web server of the page: files, server-sent events, and requests to the bench.

Does not answer requests; it passes them to `hil.page.session_manager` in the bench's thread. The
default address is on loopback. There the Host header must name the loopback, so that a foreign page
cannot use another name. On other addresses each request needs the token. A request that changes
anything must be JSON with the header X-Coldloop. Requests of foreign pages reach no route; see
`agent.tools.web.page_rule`.
"""

import asyncio
import contextlib
import json
import secrets
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from microdot import Microdot, Request, Response, send_file

from agent.tools.web.shared_files import SHARED, read_shared
from hil.errors import BenchError
from hil.page.connections import ConnectionPool
from hil.page.hub import BroadcastHub

LOOPBACK = ("127.0.0.1", "localhost", "[::1]", "::1")
_STATIC = resources.files("hil.page") / "static"
_FILES = {
    "page.css": "text/css",
    "page.js": "text/javascript",
    "loop.js": "text/javascript",
    "view.js": "text/javascript",
    "sky.js": "text/javascript",
    "texts_zh.js": "text/javascript",
}
_REPORTS = ("report.html", "report.pdf", "record.json", "junit.xml", "manifest.json")
_MAX_NAME = 200
_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; object-src 'none'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}

SubmitRequest = Callable[[str, dict[str, Any]], "Future[Any]"]
"""Passes a request (name, arguments) to the bench's thread."""


class PageServer:
    """The web server in its own thread; `address` is the address of the page."""

    def __init__(
        self, hub: BroadcastHub, submit: SubmitRequest, records: Path, host: str, port: int
    ) -> None:
        self._hub = hub
        self._submit = submit
        self._records = records
        self._host = host
        self._port = port
        self.token = "" if host in LOOPBACK else secrets.token_urlsafe(16)
        self._ready = threading.Event()
        self._error: OSError | None = None
        self._app = self._build_app()
        self._pool = ConnectionPool(self._app)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="page", daemon=True)

    @property
    def address(self) -> str:
        """The address to open in a browser."""
        token = f"?token={self.token}" if self.token else ""
        return f"http://{self._host}:{self._port}/{token}"

    def start(self) -> None:
        """Start to listen; raises BenchError if the port is in use."""
        self._thread.start()
        self._ready.wait(10)
        if self._error is not None:
            raise BenchError(f"page: {self._host}:{self._port}: {self._error.strerror}")

    def stop(self) -> None:
        """Stop the thread."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._cancel_tasks)
        self._thread.join(5)

    def _cancel_tasks(self) -> None:
        for task in asyncio.all_tasks(self._loop):
            task.cancel()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
        except asyncio.CancelledError:
            pass
        except OSError as error:
            self._error = error
        finally:
            self._ready.set()
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()

    async def _serve(self) -> None:
        self._hub.set_loop(self._loop)
        server = await asyncio.start_server(self._pool.serve, self._host, self._port)
        self._port = server.sockets[0].getsockname()[1]
        self._ready.set()
        async with server:
            await server.serve_forever()

    def _build_app(self) -> Microdot:
        app: Any = Microdot()
        app.before_request(self._check_access)
        app.after_request(_add_headers)
        app.get("/")(self._send_index)
        app.get("/static/<path:name>")(_send_static)
        app.get("/events")(self._send_events)
        app.get("/state")(lambda _request: self._hub.current_state)
        app.post("/ask/<name>")(self._handle_request)
        app.get("/reports/<run>/<name>")(self._send_report)
        return app  # type: ignore[no-any-return]

    async def _check_access(self, request: Request) -> Any:
        if self.token:
            token = request.args.get("token") or request.headers.get("X-Token") or ""
            if not secrets.compare_digest(token, self.token):
                return "the token of the address is missing or wrong", 403
        elif request.headers.get("Host", "").rsplit(":", 1)[0] not in LOOPBACK:
            return "this page is for this machine only", 403
        return None

    async def _send_index(self, _request: Request) -> Response:
        text = (_STATIC / "index.html").read_text(encoding="utf-8")
        return Response(text, headers={"Content-Type": "text/html; charset=utf-8"})

    async def _send_events(self, request: Request) -> Any:
        if not self._pool.open_stream(request):
            return "too many pages are open", 503
        body: Any = self._stream_events()  # microdot accepts an iterator, its types do not
        return Response(body, headers={"Content-Type": "text/event-stream"})

    async def _stream_events(self) -> AsyncIterator[str]:
        queue = self._hub.subscribe()
        try:
            while True:
                message = await queue.get()
                yield f"event: {message.event}\ndata: {message.json_text}\n\n"
        finally:
            self._hub.unsubscribe(queue)

    async def _handle_request(self, request: Request, name: str) -> Any:
        if request.headers.get("X-Coldloop") != "1":
            return {"error": "the header X-Coldloop is missing"}, 403
        try:
            arguments = json.loads(request.body or b"{}")
        except (ValueError, RecursionError):
            return {"error": "not JSON"}, 400
        if not isinstance(arguments, dict):
            return {"error": "not a JSON object"}, 400
        try:
            answer = await asyncio.wrap_future(self._submit(name, arguments))
        except BenchError as error:
            return {"error": str(error)}, 409
        return {"answer": answer}

    async def _send_report(self, _request: Request, run: str, name: str) -> Any:
        run = unquote(run, errors="surrogateescape")  # microdot leaves the escapes in a path
        path = self._records / run / name
        if "\0" in run or len(run) > _MAX_NAME:
            return "no such report", 404
        if name not in _REPORTS or "/" in run or run.startswith(".") or not path.is_file():
            return "no such report", 404
        response = send_file(str(path))
        if name == "report.html":  # script and style are inside the file
            response.headers["Content-Security-Policy"] = (
                "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'"
            )
        return response


async def _add_headers(_request: Request, response: Response) -> Response:
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    return response


async def _send_static(_request: Request, name: str) -> Any:
    if name in SHARED:
        return Response(read_shared(name), headers={"Content-Type": SHARED[name]})
    if name not in _FILES:
        return "no such file", 404
    return send_file(str(_STATIC.joinpath(name)), content_type=_FILES[name])
