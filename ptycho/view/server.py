"""The server of the viewer: answers only the browser of this machine, and only reads.

Data flow: application, pages of runs -> [server] -> browser.
It listens on the loopback address. A request is refused (403) if its Host is not that address (DNS
rebinding), if its Origin is another site, or if the browser reports that another site made it.
Responses forbid framing, content sniffing and referrers.
"""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bokeh.application import Application
from bokeh.application.handlers.function import FunctionHandler
from bokeh.document import Document
from bokeh.server.server import BaseServer
from bokeh.server.tornado import BokehTornado
from bokeh.server.util import bind_sockets
from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPHeaders, HTTPServerRequest
from tornado.ioloop import IOLoop
from tornado.web import ErrorHandler, OutputTransform, RequestHandler

ADDRESS = "127.0.0.1"

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self' data: blob:; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
        "style-src 'self' 'unsafe-inline'; connect-src 'self'; frame-ancestors 'none'; "
        "base-uri 'none'; form-action 'none'"
    ),
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_PAGE_POLICY = "sandbox allow-scripts allow-downloads; frame-ancestors 'none'; connect-src 'none'"
_METHODS = ("GET", "HEAD")


class _Guarded(OutputTransform):
    """Adds the headers that shut out other sites to every response."""

    def transform_first_chunk(
        self, status_code: int, headers: HTTPHeaders, chunk: bytes, finishing: bool
    ) -> tuple[int, HTTPHeaders, bytes]:
        """Return the response with these headers; a policy that is set already is kept."""
        for name, value in _HEADERS.items():
            headers.setdefault(name, value)
        headers.pop("Access-Control-Allow-Origin", None)
        return status_code, headers, chunk


class _Loopback(BokehTornado):
    """Bokeh's application, closed to requests that do not come from its own pages."""

    hosts: frozenset[str] = frozenset()

    def find_handler(self, request: HTTPServerRequest, **kwargs: object) -> Any:
        """Return the handler of a request, or one that refuses it."""
        status = self._refusal(request)
        if status is not None:
            return self.get_handler_delegate(request, ErrorHandler, {"status_code": status})
        return super().find_handler(request, **kwargs)

    def _refusal(self, request: HTTPServerRequest) -> int | None:
        headers = request.headers
        if request.method not in _METHODS:
            return 405
        origins = headers.get_list("Origin") + headers.get_list("Sec-WebSocket-Origin")
        own = {f"http://{host}" for host in self.hosts}
        if request.host.lower() not in self.hosts or not own.issuperset(map(str.lower, origins)):
            return 403
        foreign = headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin")
        # A link on another page may open the list; that page cannot read it.
        linked = headers.get("Sec-Fetch-Mode") == "navigate" and request.path == "/"
        return 403 if foreign and not linked else None


class _PageHandler(RequestHandler):
    """Serves the page of a run of the list."""

    def initialize(self, find: Callable[[str], Path | None]) -> None:
        """Set the function that finds the page of a run by the name of the run."""
        self.find = find

    def get(self, name: str) -> None:
        """Send the page; 404 if the run is not in the list."""
        page = self.find(name)
        if page is None:
            self.send_error(404)
            return
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.set_header("Content-Security-Policy", _PAGE_POLICY)
        self.finish(page.read_bytes())


def start_server(
    fill: Callable[[Document], None], find_page: Callable[[str], Path | None], port: int
) -> tuple[BaseServer, str]:
    """Start the server; it answers as soon as its event loop runs.

    Args:
        fill: fills a new document.
        find_page: returns the page of a run by the name of the run; None if it is not in the list.
        port: to listen on; 0 takes a free one.

    Returns:
        The server, and its address for a browser.

    Raises:
        OSError: If the port is in use or not permitted.
    """
    for name in ("bokeh", "tornado"):
        logging.getLogger(name).setLevel(logging.ERROR)
    sockets, port = bind_sockets(ADDRESS, port)
    hosts = [f"{name}:{port}" for name in (ADDRESS, "localhost")]
    server = _Loopback(
        {"/": Application(FunctionHandler(fill))},
        extra_websocket_origins=hosts,
        extra_patterns=[(r"/page/(.*)", _PageHandler, {"find": find_page})],
    )
    server.hosts = frozenset(hosts)
    server.add_transform(_Guarded)
    http = HTTPServer(server, max_body_size=2**16)
    http.add_sockets(sockets)
    running = BaseServer(IOLoop.current(), server, http)
    running.start()
    return running, f"http://{hosts[0]}/"
