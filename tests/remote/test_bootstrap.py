"""How the agent gets going where there is no lvmtui, an old one, or no Python."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lvmtui.errors import RemoteError
from lvmtui.remote import bootstrap
from lvmtui.remote.connection import Timing
from lvmtui.remote.link import Link
from lvmtui.remote.mirrors.mirror import Mirror
from lvmtui.snapshot import Contact
from lvmtui.store.database import Database

QUICK = Timing(greeting=20.0, first_retry=0.05, last_retry=500.0)
OLD = "#!/bin/sh\necho \"Error: No such command 'agent'.\" >&2\nexit 2\n"


@pytest.fixture
def gpu(ssh_hosts):
    """A machine without lvmtui, with a store."""
    hosts = ssh_hosts("gpu1")
    hosts["gpu1"].uninstall()
    Database.open(hosts["gpu1"].home / "runs.db").close()
    return hosts


@pytest.fixture
def linked():
    """Starts links; they are stopped at the end."""
    links = []

    def start(hosts, command=()):
        host = hosts.host("gpu1", command=command)
        link = Link(host, Mirror.open(host), ssh=hosts.ssh, on_change=lambda: None, timing=QUICK)
        links.append(link)
        link.start()
        return link

    yield start
    for link in links:
        link.stop()


def test_the_command_can_be_read_by_every_shell():
    inner = bootstrap.REMOTE_COMMAND.removeprefix("exec sh -c '").removesuffix("'")
    assert not set("'!\\\n") & set(inner)
    done = subprocess.run(["sh", "-n", "-c", inner], check=False)
    assert done.returncode == 0
    assert len(bootstrap.REMOTE_COMMAND) < 8000


def test_the_source_is_small_text():
    source = bootstrap.source()
    assert source.isascii()
    assert len(source) < 60_000
    compile(source, "agent", "exec")


def test_without_lvmtui_the_store_is_read(gpu, linked):
    link = linked(gpu)
    link.wait_listed(30)
    assert link.view.readonly == "lvmtui is not installed there"
    assert link.view.version == ""
    assert link.view.store == str(gpu["gpu1"].home / "runs.db")


def test_an_old_lvmtui_is_said_to_be_old(gpu, linked):
    gpu["gpu1"].install(OLD)
    link = linked(gpu)
    link.wait_listed(30)
    assert re.fullmatch(
        r"the lvmtui there is too old for more \(.*/bin/lvmtui\): update it there", link.view.readonly
    )


def test_a_broken_lvmtui_is_passed_over(gpu, linked):
    gpu["gpu1"].install("#!/nowhere/python\n")
    link = linked(gpu)
    link.wait_listed(30)
    assert "does not start" in link.view.readonly


def test_an_lvmtui_in_the_home_is_found(gpu, linked):
    place = gpu["gpu1"].home / ".local" / "bin"
    place.mkdir(parents=True)
    gpu["gpu1"].install()
    (gpu["gpu1"].programs / "lvmtui").rename(place / "lvmtui")
    link = linked(gpu)
    link.wait_listed(30)
    assert (link.view.version, link.view.readonly) != ("", "lvmtui is not installed there")


def test_an_lvmtui_that_only_python_knows_of_is_found(gpu, linked):
    gpu["gpu1"].set_python(sys.executable)
    link = linked(gpu)
    link.wait_listed(30)
    assert link.view.version


def test_the_users_own_command(gpu, linked):
    gpu["gpu1"].install()
    place = gpu["gpu1"].home / "my programs"
    place.mkdir()
    (gpu["gpu1"].programs / "lvmtui").rename(place / "lvmtui")
    link = linked(gpu, command=("~/my programs/lvmtui",))
    link.wait_listed(30)
    assert link.view.version


def test_a_key_that_may_only_read(gpu, linked):
    machine = gpu["gpu1"]
    machine.install()
    forced = f"SSH_ORIGINAL_COMMAND='exec lvmtui agent --stdio --readonly' {machine.folder}/enter"
    keys = machine.folder / "authorized_keys"
    keys.write_text(f'restrict,command="{forced}" {(machine.folder / "user.pub").read_text()}')
    link = linked(gpu)
    link.wait_listed(30)
    assert link.view.version
    assert "--readonly" in link.view.readonly
    with pytest.raises(RemoteError, match="nothing can be changed on gpu1"):
        link.request("stop", {"run": 1}, "stop #1@gpu1", None)


def test_a_command_that_is_not_there(gpu, linked, wait_until):
    link = linked(gpu, command=("/opt/lvmtui",))
    wait_until(lambda: link.view.contact is Contact.OFFLINE, "that it is offline")
    assert link.view.reason == "there is no such command there: /opt/lvmtui"


def test_no_python_at_all(gpu, linked, wait_until):
    gpu["gpu1"].set_python(None)
    link = linked(gpu)
    wait_until(lambda: link.view.contact is Contact.OFFLINE, "that it is offline")
    assert link.view.reason == "neither lvmtui nor Python was found there"
    assert "Install lvmtui" in link.view.hint


@pytest.mark.parametrize("version", ["3.6", "3.8"])
def test_a_python_that_is_too_old(gpu, linked, wait_until, version):
    old = _python(version)
    gpu["gpu1"].set_python(old)
    link = linked(gpu)
    wait_until(lambda: link.view.contact is Contact.OFFLINE, "that it is offline")
    assert re.match(
        rf"the newest Python there is {version}\.\d+, and lvmtui is not installed", link.view.reason
    )


def test_another_python_is_tried_where_the_first_is_too_old(gpu, linked):
    gpu["gpu1"].set_python(_python("3.8"))
    newer = gpu["gpu1"].programs / "python3.12"
    newer.write_text(f'#!/bin/sh\nexec {Path(sys.base_prefix) / "bin" / "python3"} "$@"\n')
    newer.chmod(0o755)
    linked(gpu).wait_listed(30)


@pytest.mark.parametrize("version", ["3.9", "3.13"])
def test_other_pythons(gpu, linked, version):
    gpu["gpu1"].set_python(_python(version))
    link = linked(gpu)
    link.wait_listed(30)
    assert link.view.readonly == "lvmtui is not installed there"


def test_files_in_the_login_folder_are_not_modules(gpu, linked):
    for name in ("json", "zlib", "base64", "select", "lvmtui"):
        (gpu["gpu1"].home / f"{name}.py").write_text("raise SystemExit('not this')\n")
    (gpu["gpu1"].home / "sqlite3").mkdir()
    linked(gpu).wait_listed(30)


def test_lvmtui_is_used_once_it_is_installed(gpu, linked, wait_until):
    link = linked(gpu)
    link.wait_listed(30)
    assert link.view.readonly
    gpu["gpu1"].install()
    link.retry_now()
    wait_until(lambda: link.view.version and link.view.is_whole, "the installed one")


@pytest.mark.parametrize("shell", ["bash", "dash", "zsh", "fish", "csh", "tcsh", "ksh", "mksh"])
def test_login_shells(ssh_hosts, linked, shell):
    path = shutil.which(shell)
    if path is None:
        pytest.skip(f"{shell} is not installed here")
    hosts = ssh_hosts("gpu1", shell=path)
    hosts["gpu1"].uninstall()
    Database.open(hosts["gpu1"].home / "runs.db").close()
    linked(hosts).wait_listed(30)


def _python(version: str) -> str:
    """Path of another Python; skips where there is none."""
    found = shutil.which(f"python{version}")
    places = [found] if found else []
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    places += [str(place / "bin" / "python3") for place in root.glob(f"{version}.*")]
    for place in places:
        said = subprocess.run([place, "--version"], capture_output=True, text=True, check=False)
        if said.stdout.startswith(f"Python {version}."):
            return place
    pytest.skip(f"there is no Python {version} here")
