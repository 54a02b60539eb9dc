"""Commands in messages work when they are pasted, whether the settings know the host or not."""

import pytest

from lvmtui.cli.invocation import Invocation
from lvmtui.remote.hosts import Host, parse_host, spoken

GPU1 = Host("gpu1", "gpu1")


@pytest.mark.parametrize(
    ("host", "said", "pasted"),
    [
        (GPU1, "stops; `lvmtui resume 17@gpu1` goes on", "stops; `lvmtui resume 17 --host gpu1` goes on"),
        (GPU1, "`lvmtui ls --host gpu1` lists", "`lvmtui ls --host gpu1` lists"),
        (GPU1, "`lvmtui logs 17@gpu1 -f`, #17@gpu1", "`lvmtui logs 17 -f --host gpu1`, #17@gpu1"),
        (
            Host("gpu1", "me@gpu1", "x/runs.db"),
            "`lvmtui ls --host gpu1` and `lvmtui stop 3@gpu1`",
            "`lvmtui ls --host me@gpu1:x/runs.db` and `lvmtui stop 3 --host me@gpu1:x/runs.db`",
        ),
        (GPU1, "`lvmtui stop 3@gpu2`, 3@gpu1", "`lvmtui stop 3@gpu2`, 3@gpu1"),
        (GPU1, "`lvmtui show 3 --host gpu1` and 5@gpu1", "`lvmtui show 3 --host gpu1` and 5@gpu1"),
    ],
)
def test_a_host_that_only_the_command_names(host: Host, said: str, pasted: str) -> None:
    call = Invocation()
    assert call.pasteable(said) == said
    call.name([host], [])
    assert call.pasteable(said) == pasted


def test_a_host_of_the_settings_keeps_its_short_name() -> None:
    call = Invocation()
    call.name([GPU1], [GPU1])
    assert call.pasteable("`lvmtui stop 17@gpu1`") == "`lvmtui stop 17@gpu1`"


@pytest.mark.parametrize(
    "text", ["gpu1", "me@gpu1:runs.db", "gpu1:/data/x.db", "ssh://me@h:22/data/x.db", "ssh://me@h:22/~/x.db"]
)
def test_what_is_said_means_the_same_host(text: str) -> None:
    host = parse_host(text, {})
    assert parse_host(spoken(host).strip("'"), {}) == host
