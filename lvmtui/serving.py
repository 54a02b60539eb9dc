"""The dashboard in a browser, through textual-serve: a process of the dashboard for each page that is open.

There is no password. So it listens on this machine only unless told otherwise, and refuses pages of other
sites: a browser lets any site open a websocket to this machine, and only its `Origin` gives it away.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import shlex
import socket
import sys
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

import aiohttp_jinja2
from aiohttp import web
from textual_serve.server import Server, to_int

from lvmtui.errors import UsageError

MOST_PAGES = 16
"""Pages open at once; each is a process."""

HEADERS = {
    "X-Frame-Options": "DENY",
    # textual-serve's page asks Google for a font: nobody else needs to know who looks at what.
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data: blob:; font-src 'self' data:; frame-ancestors 'none'"
    ),
}
"""Sent with the page."""

END_SECONDS = 3.0
"""Open pages have so long to end."""


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach it."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def bound(host: str, port: int) -> socket.socket:
    """A listening socket.

    Raises:
        UsageError: the port is taken or the host is not one of this machine.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind, protocol)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
            listening.listen()
        except BaseException:
            listening.close()
            raise
    except OSError as error:
        wrong_port = error.errno in {errno.EADDRINUSE, errno.EACCES}
        raise UsageError(
            f"cannot listen on {host}, port {port}: {error.strerror or error}",
            "--port 0 takes a free port." if wrong_port else "--host takes an address of this machine.",
        ) from error
    return listening


def command_line(options: Sequence[str]) -> str:
    """What a page's process is started with: this program, quoted for the shell."""
    return "exec " + shlex.join([sys.executable, "-P", "-m", "lvmtui", *options, "served"])


class Pages(Server):
    """Serves the page and its websocket to those who may have them."""

    def __init__(self, command: str, title: str, *, only_here: bool) -> None:
        """
        Args:
            command: starts the dashboard for one page.
            title: of the page.
            only_here: requests must be addressed to this machine by one of its loopback names.
        """
        super().__init__(command, title=title)
        self._only_here = only_here
        self._open = 0

    def run(self, listening: socket.socket, ready: Callable[[], None]) -> None:
        """Serve until SIGINT or SIGTERM.

        Args:
            listening: what `bound` has made.
            ready: called once requests are answered.
        """
        self._ready = ready
        loop = asyncio.new_event_loop()
        try:
            web.run_app(
                self._make_app(),
                sock=listening,
                print=None,
                access_log=None,
                shutdown_timeout=END_SECONDS,
                loop=loop,
            )
        finally:
            loop.close()

    async def on_startup(self, app: web.Application) -> None:  # noqa: ARG002
        """Say that it runs."""
        self._ready()

    def _check(self, request: web.Request) -> None:
        """Refuse requests that come from another site, or to a name that somebody else made point here.

        Raises:
            HTTPForbidden: it is one.
        """
        if self._only_here and not is_loopback(urlsplit(f"//{request.host}").hostname or ""):
            raise web.HTTPForbidden(text="This is only served to this machine.")
        origin = request.headers.get("Origin")
        if origin is not None and urlsplit(origin).netloc != request.host:
            raise web.HTTPForbidden(text="Pages of other sites may not come in here.")

    async def handle_index(self, request: web.Request) -> web.StreamResponse:
        """The page. Its addresses are those it was asked for under: a tunnel has a port of its own."""
        self._check(request)
        secure = "s" if request.secure else ""
        context = {
            "font_size": to_int(request.query.get("fontsize", "16"), 16),
            "app_websocket_url": f"ws{secure}://{request.host}/ws",
            "config": {"static": {"url": "/static/"}},
            "application": {"name": self.title},
        }
        response = aiohttp_jinja2.render_template("app_index.html", request, context)
        response.headers.update(HEADERS)
        return response

    async def handle_websocket(self, request: web.Request) -> web.WebSocketResponse:
        """The page's connection to its process."""
        self._check(request)
        if request.headers.get("Origin") is None:
            raise web.HTTPForbidden(text="Only a browser's page may connect.")
        if self._open >= MOST_PAGES:
            raise web.HTTPServiceUnavailable(text=f"{MOST_PAGES} pages are open already.")
        self._open += 1
        try:
            response: Any = await super().handle_websocket(request)
        finally:
            self._open -= 1
        assert isinstance(response, web.WebSocketResponse)
        return response
