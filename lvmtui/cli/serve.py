"""The subcommand that shows the dashboard in a browser: serve."""

from __future__ import annotations

import os
import threading
import time
from importlib.util import find_spec
from pathlib import PurePath
from typing import Annotated

import typer

from lvmtui.cli.session import Session, StoreOption, line, note, watching
from lvmtui.errors import UsageError

DEFAULT_PORT = 8000

ORPHAN_SECONDS = 1.0
"""Between two looks of a page's process at whether its server is still there."""


def serve(
    context: typer.Context,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0: a free one.")] = DEFAULT_PORT,
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    allow_changes: Annotated[
        bool, typer.Option("--allow-changes", help="Let the page launch, stop and delete runs.")
    ] = False,
    public: Annotated[
        bool,
        typer.Option("--public", help="Let other machines in, without any password; needed for such a host."),
    ] = False,
    store: StoreOption = None,
) -> None:
    """Show the dashboard in a browser, read-only, on this machine only, until ctrl+c.

    From another machine, better than --public: ssh -L 8000:localhost:8000 HOST. Hosts to watch over SSH are
    named before the command: lvmtui --host gpu1 serve.
    """
    session = watching(context, store)
    if allow_changes:
        session.changes("serve --allow-changes")
    if find_spec("textual_serve") is None:
        raise UsageError("serve needs textual-serve", "Install it: pip install 'lvmtui[serve]'.")
    from lvmtui import serving

    only_here = serving.is_loopback(host)
    if not only_here and not public:
        raise UsageError(
            f"{host} lets other machines in, and there is no password",
            f"Use ssh -L {port}:localhost:{port} from there, or add --public if that is what you want.",
        )
    listening = serving.bound(host, port)
    shown = f"[{host}]" if ":" in host else host
    address = f"http://{shown}:{listening.getsockname()[1]}"

    def ready() -> None:
        if not only_here:
            may = "change and start runs" if allow_changes else "see everything"
            note(f"warning: whoever can reach {host} can {may}; there is no password.")
        line(f"lvmtui on {address} ({'changes allowed' if allow_changes else 'read-only'}); ctrl+c ends it.")

    pages = serving.Pages(
        serving.command_line(_options(session, readonly=not allow_changes)),
        f"lvmtui {PurePath(session.store).name}",
        only_here=only_here,
    )
    pages.run(listening, ready)


def _options(session: Session, *, readonly: bool) -> list[str]:
    """The options of this very session."""
    options = ["--store", session.store]
    options += ["--readonly"] if readonly else []
    options += ["--local"] if session.local else [f"--host={name}" for name in session.named]
    return [*options, "--ascii"] if session.ascii_only else options


def _end_with(server: int) -> None:
    """End when the server is gone, however it went: nobody sees this process any more."""
    while os.getppid() == server:
        time.sleep(ORPHAN_SECONDS)
    os._exit(0)


def served(context: typer.Context) -> None:
    """The dashboard of one page; started by serve."""
    if "web" not in os.environ.get("TEXTUAL_DRIVER", ""):
        raise UsageError("served is started by `lvmtui serve`", "Use that.")
    from lvmtui.app import make_app

    session = watching(context, None)
    app = make_app(session.store, hosts=session.watched, readonly=session.readonly, ascii=session.ascii_only)
    app.writes_state = not session.readonly
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    app.run()
    raise typer.Exit(app.return_code or 0)
