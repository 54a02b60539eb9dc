"""How the agent gets going on a host: the command that looks for lvmtui there, and the agent as text for
where there is none, which takes Python 3.9 and its standard library."""

from __future__ import annotations

import base64
import json
import zlib
from functools import cache
from pathlib import Path

NEEDS_PYTHON = "lvmtui-needs-python: "
"""What is written to stderr there when no Python will do: the version of each that is too old, or `none`."""

_LOADER = r"""
import sys
if sys.version_info < (3, 9):
    sys.stderr.write("lvmtui-needs-python: %d.%d.%d\n" % sys.version_info[:3])
    sys.exit(9)
import importlib.util, json, os, runpy

code, _, place = sys.argv[2].partition(" ")
why = {
    "": "lvmtui is not installed there",
    "2": "the lvmtui there is too old for more (" + place + "): update it there",
}.get(code, "the lvmtui there does not start (" + place + ")")
found = importlib.util.find_spec("lvmtui")
if found is not None and found.origin:
    if os.path.exists(os.path.join(os.path.dirname(found.origin), "remote", "agent", "serving.py")):
        sys.argv[:] = ["lvmtui", "agent", "--stdio"]
        runpy.run_module("lvmtui", run_name="__main__", alter_sys=True)
        sys.exit(0)
    why = "the lvmtui there is too old for more (" + found.origin + "): update it there"

def line(most):
    read = b""
    while not read.endswith(b"\n"):
        byte = os.read(0, 1)
        if not byte or len(read) > most:
            sys.exit(1)
        read += byte
    return read

client = line(16384)
if not client.startswith(b"lvmtui-client "):
    sys.exit("what came in is not from lvmtui")
about = {"m": "hello", "python": "%d.%d.%d" % sys.version_info[:3], "why": why}
os.write(1, b"lvmtui-loader " + json.dumps(about).encode() + b"\n")
left, parts = int(line(16)), []
while left > 0:
    parts.append(os.read(0, left))
    left -= len(parts[-1]) or left + 1
if left < 0:
    sys.exit(1)
names = {"__name__": "lvmtui_agent", "client": client, "why": why}
exec(compile(b"".join(parts), "lvmtui-agent", "exec"), names)
"""
"""Hands over to an lvmtui that only this Python knows of, else takes the agent in and runs it."""

_PYTHONS = " ".join(["python3", *(f"python3.{minor}" for minor in range(15, 8, -1))])

_SCRIPT = (
    "w=; "
    'for p in lvmtui "$HOME/.local/bin/lvmtui"; do '
    'p=$(command -v "$p" 2>/dev/null) || continue; '
    '"$p" agent --stdio; s=$?; '
    'case $s in 2|126|127) w="$s $p";; *) exit $s;; esac; '
    "done; "
    "v=none; "
    f"for y in {_PYTHONS}; do "
    'command -v "$y" >/dev/null 2>&1 || continue; '
    '"$y" -c "import sys; sys.path[:] = [p for p in sys.path if p]; '
    'import base64; exec(base64.b64decode(sys.argv[1]))" '
    f'{base64.b64encode(_LOADER.encode()).decode()} "$w"; s=$?; '
    "case $s in 9) v=;; 127) ;; *) exit $s;; esac; "
    "done; "
    f'test -z "$v" || echo "{NEEDS_PYTHON}none" >&2; '
    "exit 127"
)
# 2: an lvmtui that knows no `agent`; 126, 127: one whose Python is gone. None of them reads its input.
# sys.path: files in the login folder may be called as modules of Python are.

REMOTE_COMMAND = f"exec sh -c '{_SCRIPT}'"
"""Runs the agent: of lvmtui where it is found, else by the loader. Reads the same in every login shell (sh,
zsh, fish, csh): one line, and between the quotation marks no other of that kind, no `!` and no backslash."""

_FINDER = """
import base64, importlib.abc, importlib.util, json, os, sys, zlib

MODULES = json.loads(zlib.decompress(base64.b85decode({modules!r})))

class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path=None, target=None):
        if name in MODULES:
            package = any(other.startswith(name + ".") for other in MODULES)
            return importlib.util.spec_from_loader(name, self, origin="lvmtui-agent", is_package=package)
        return None

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        exec(compile(MODULES[module.__name__], module.__name__, "exec"), module.__dict__)

sys.meta_path.insert(0, Finder())
from lvmtui.remote.agent import serving, wire

reading, writing = os.dup(0), os.dup(1)
os.dup2(2, 1)
store = os.environ.get("LVMTUI_STORE") or "runs.db"
hello = wire.read_greeting(client, wire.CLIENT)
sys.exit(serving.serve(reading, writing, hello, default_store=store, version="", why_readonly=why))
"""


@cache
def source() -> bytes:
    """The reading half of the agent as one text of Python, for the loader: ASCII, well below a megabyte."""
    folder = Path(__file__).parent / "agent"
    modules = {"lvmtui": "", "lvmtui.remote": ""}
    for file in sorted(folder.glob("*.py")):
        name = "" if file.stem == "__init__" else f".{file.stem}"
        modules[f"lvmtui.remote.agent{name}"] = file.read_text(encoding="utf-8")
    packed = base64.b85encode(zlib.compress(json.dumps(modules).encode(), 9))
    return _FINDER.format(modules=packed).encode("ascii")
