"""What a host is on the command line and in the settings, and changing the settings by text."""

import os
import tomllib
from pathlib import Path

import pytest

from lvmtui.cli import main
from lvmtui.config import Config, load_config
from lvmtui.errors import UsageError
from lvmtui.remote.host_settings import add_host, remove_host
from lvmtui.remote.hosts import Host, parse_host, parse_hosts
from lvmtui.remote.mirrors.mirror import Mirror
from lvmtui.remote.outbox import Outbox, outbox_file
from lvmtui.remote.ssh import ssh_words


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "lvmtui" / "config.toml"


@pytest.fixture
def settings(file: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(file.parent.parent))
    return file


@pytest.mark.parametrize(
    ("text", "name", "destination", "store"),
    [
        ("gpu1", "gpu1", "gpu1", ""),
        ("gpu1:", "gpu1", "gpu1", ""),
        ("gpu2:/data/my runs.db", "gpu2", "gpu2", "/data/my runs.db"),
        ("me@gpu3:runs.db", "gpu3", "me@gpu3", "runs.db"),
        ("h:~/x.db", "h", "h", "x.db"),
        ("ssh://me@h:22/path", "h", "ssh://me@h:22", "/path"),
        ("ssh://h/~/r.db", "h", "ssh://h", "r.db"),
        ("ssh://[::1]:2222/x", "1", "ssh://[::1]:2222", "/x"),
        ("me@[fe80::1%eth0]:x", "fe80-1-eth0", "me@fe80::1%eth0", "x"),
        ("queue.lab", "queue.lab", "queue.lab", ""),
        ("me@all", "host-all", "me@all", ""),
    ],
)
def test_a_host_is_read_from_the_command_line(text: str, name: str, destination: str, store: str) -> None:
    assert parse_host(text, {}) == Host(name, destination, store)


@pytest.mark.parametrize(
    "text",
    [
        *("-oProxyCommand=touch x", "-oProxyCommand=x", "a@-oX", "-l@gpu1", "ssh://-oX/x", "ssh://-l@h"),
        *("h o", "h\nx", "h\x1b[2J", "h:x\ny", "", "all", "here", "@h", "a/b", "$(x)", "a;b", "`x`", "a|b"),
        *(
            "h:22",
            "ssh://h:99999/p",
            "ssh://h:x",
            "ssh://",
            "ssh:///x",
            "x" * 2000,
            "h:\udc80",
            "a'b",
            "a\u2028b",
        ),
    ],
)
def test_what_is_no_host_is_refused(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_host(text, {})
    assert caught.value.message.isprintable()


def test_names_of_the_settings_come_first() -> None:
    known = {"gpu1": Host("gpu1", "me@10.0.0.1", "a.db", ("x",)), "far": Host("far", "f", watch=False)}
    assert parse_host("gpu1", known) == known["gpu1"]
    assert parse_host("gpu1:b.db", known) == Host("gpu1", "me@10.0.0.1", "b.db", ("x",))
    assert parse_hosts(["all"], known) == (known["gpu1"],)
    assert parse_hosts(["far", "all", "gpu1"], known) == (known["far"], known["gpu1"])


def test_two_stores_of_one_host_are_told_apart() -> None:
    found = parse_hosts(["h:a", "h:b", "h:a", "h"], {})
    assert [(host.name, host.store) for host in found] == [("h", "a"), ("h-2", "b"), ("h-3", "")]


def test_all_needs_a_host() -> None:
    with pytest.raises(UsageError, match="no host is watched"):
        parse_hosts(["all"], {})


def test_hosts_are_read_from_the_settings(file: Path) -> None:
    file.parent.mkdir()
    file.write_text(
        "ssh_command = \"ssh -F 'my file'\"\n[hosts.gpu1]\n"
        '[hosts."b.lab"]\ndestination = "me@b"\nstore = "~/r.db"\ncommand = ["a b", "c"]\nwatch = false\n'
    )
    config = load_config(file)
    assert config.ssh_command == ("ssh", "-F", "my file")
    assert config.hosts == {
        "gpu1": Host("gpu1", "gpu1"),
        "b.lab": Host("b.lab", "me@b", "r.db", ("a b", "c"), watch=False),
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hosts = 3", "hosts = 3 is not a table"),
        ("[hosts]\ngpu1 = 3", "hosts.gpu1 is no table"),
        ("[hosts.gpu1]\ndest = 'x'", "unknown setting 'dest'"),
        ("[hosts.gpu1]\nwatch = 1", "watch = 1 is not true or false"),
        ("[hosts.gpu1]\ndestination = '-oX'", "take it for an option"),
        ("[hosts.gpu1]\ncommand = 3", "command = 3 is not a text or a list"),
        ("[hosts.gpu1]\ncommand = 'a \"b'", "No closing quotation"),
        ('[hosts.gpu1]\nstore = "a\\nb"', "control characters"),
        ("[hosts.all]", "means something else"),
        ("[hosts.-x]", "no name for a host"),
        ("ssh_command = ['ssh', 3]", "not a text or a list"),
    ],
)
def test_settings_that_make_no_sense_are_refused(file: Path, text: str, message: str) -> None:
    file.parent.mkdir()
    file.write_text(text)
    with pytest.raises(UsageError) as caught:
        load_config(file)
    assert message in caught.value.message
    assert "config.toml" in caught.value.message


def test_how_ssh_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LVMTUI_SSH", raising=False)
    assert ssh_words(Config()) == ("ssh",)
    assert ssh_words(Config(ssh_command=("a", "b"))) == ("a", "b")
    monkeypatch.setenv("LVMTUI_SSH", "ssh -F 'my file'")
    assert ssh_words(Config(ssh_command=("a", "b"))) == ("ssh", "-F", "my file")
    monkeypatch.setenv("LVMTUI_SSH", "ssh 'x")
    with pytest.raises(UsageError):
        ssh_words(Config())


MINE = (
    "# my settings\ntheme = 'paper'   # mine\n\n[keys]\nlaunch = \"L\"\n\n"
    '# the big one\n[hosts.gpu1]\ndestination = """me@gpu1"""\ncommand = [\n  "x",\n]  # odd\n\n'
    "# after\n[alerts]\nbell = false\n# end"
)


def test_adding_changes_nothing_else(file: Path) -> None:
    file.parent.mkdir()
    file.write_text(MINE)
    host = Host("gpu2.lab", "me@gpu2", 'a "b"\\ü.db', ("x y", "z"), watch=False)
    add_host(host, file)
    assert file.read_text().startswith(MINE)
    assert load_config(file).hosts["gpu2.lab"] == host


def test_what_was_added_can_be_taken_out_again(file: Path) -> None:
    file.parent.mkdir()
    file.write_text(MINE + "\n")
    for name in ("a", "b"):
        add_host(Host(name, name), file)
    remove_host("a", file)
    assert file.read_text() == MINE + '\n\n[hosts.b]\ndestination = "b"\n'
    remove_host("b", file)
    assert file.read_text() == MINE + "\n"


def test_taking_out_leaves_comments_of_what_follows(file: Path) -> None:
    file.parent.mkdir()
    file.write_text(MINE)
    remove_host("gpu1", file)
    assert file.read_text() == MINE.replace(
        '[hosts.gpu1]\ndestination = """me@gpu1"""\ncommand = [\n  "x",\n]  # odd\n', ""
    ).replace("one\n\n#", "one\n\n#")


def test_a_text_that_looks_like_a_table_is_left_alone(file: Path) -> None:
    file.parent.mkdir()
    tricky = '[hosts.a]\nstore = "s"\n[hosts.b]\ncommand = ["""x\n[hosts.a]\nstore = "s"\n"""]\n'.replace(
        "\n", "\n"
    )
    file.write_text(tricky)
    document = tomllib.loads(tricky)
    with pytest.raises(UsageError):  # a command with a line break is refused when the settings are read
        remove_host("a", file)
    assert tomllib.loads(file.read_text()) == document


@pytest.mark.parametrize(
    "text", ["hosts = {a = {store = 'x'}}\n", "[hosts]\na.store = 'x'\n", "hosts.a = {store = 'x'}\n"]
)
def test_other_forms_are_left_to_the_user(file: Path, text: str) -> None:
    file.parent.mkdir()
    file.write_text(text)
    with pytest.raises(UsageError) as caught:
        remove_host("a", file)
    assert "by hand" in caught.value.hint
    assert file.read_text() == text


def test_an_inline_table_of_hosts_cannot_be_extended(file: Path) -> None:
    file.parent.mkdir()
    file.write_text("hosts = {a = {store = 'x'}}\n")
    with pytest.raises(UsageError) as caught:
        add_host(Host("b", "me@b"), file)
    assert '[hosts.b]\ndestination = "me@b"' in caught.value.hint


def test_links_modes_and_line_ends_are_kept(file: Path, tmp_path: Path) -> None:
    file.parent.mkdir()
    real = tmp_path / "dotfiles.toml"
    real.write_bytes(b"theme = 'paper'\r\n")
    os.chmod(real, 0o600)
    file.symlink_to(real)
    add_host(Host("a", "a"), file)
    assert file.is_symlink()
    assert real.stat().st_mode & 0o777 == 0o600
    assert real.read_bytes() == b"theme = 'paper'\r\n\r\n[hosts.a]\r\ndestination = \"a\"\r\n"
    remove_host("a", file)
    assert real.read_bytes() == b"theme = 'paper'\r\n"


def test_broken_settings_are_not_touched(file: Path) -> None:
    file.parent.mkdir()
    file.write_text("[keys")
    with pytest.raises(UsageError, match="not valid TOML"):
        add_host(Host("a", "a"), file)
    assert file.read_text() == "[keys"


def test_the_command_line(settings: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["hosts", "ls"]) == 0
    assert "no hosts" in capsys.readouterr().err
    assert main(["hosts", "add", "gpu1", "me@10.0.0.1:runs.db", "--command", "/opt/x y"]) == 0
    assert main(["hosts", "add", "gpu1"]) == 2
    assert "already" in capsys.readouterr().err
    assert main(["hosts", "add", "me@gpu2", "--no-watch"]) == 0
    assert load_config(settings).hosts == {
        "gpu1": Host("gpu1", "me@10.0.0.1", "runs.db", ("/opt/x", "y")),
        "gpu2": Host("gpu2", "me@gpu2", watch=False),
    }
    assert main(["hosts", "ls"]) == 0
    listed = capsys.readouterr().out
    assert "me@10.0.0.1" in listed
    assert main(["hosts", "ls", "--json"]) == 0
    assert '"watch": false' in capsys.readouterr().out
    assert main(["hosts", "rm", "gpu1"]) == 0
    assert main(["hosts", "rm", "gpu1"]) == 2
    assert list(load_config(settings).hosts) == ["gpu2"]


@pytest.mark.parametrize("name", ["-oX", "a b", "all", "x\ny"])
def test_the_command_line_refuses_bad_names(settings: Path, name: str) -> None:
    assert main(["hosts", "add", "--", name, "me@gpu1"]) == 2
    assert not settings.exists()


def test_a_host_that_is_taken_out_leaves_nothing_behind(
    settings: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for kind in ("CACHE", "STATE"):
        monkeypatch.setenv(f"XDG_{kind}_HOME", str(tmp_path / kind))
    assert main(["hosts", "add", "gpu1"]) == 0
    host = load_config(settings).hosts["gpu1"]
    mirror, outbox = Mirror.open(host), Outbox(outbox_file(host))
    outbox.put("stop", {"run": 1}, "stop demo #1@gpu1", None)
    outbox.close()
    assert main(["hosts", "rm", "gpu1"]) == 2
    assert "stop demo #1@gpu1" in capsys.readouterr().err
    assert main(["hosts", "rm", "gpu1", "--yes"]) == 2
    assert "an open lvmtui watches gpu1" in capsys.readouterr().err
    mirror.close()
    assert main(["hosts", "rm", "gpu1", "--yes"]) == 0
    assert not mirror.path.parent.exists()
    assert not outbox_file(host).exists()
    assert not load_config(settings).hosts
