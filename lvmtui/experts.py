"""Which experts a model asked for the queries of each lane, as an evaluation keeps it, in words."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from lvmtui.format import percent, plain, thousands

KEY = "experts"
"""Under which an evaluation's details have it; the engine writes it (`engine.expert_use`)."""
NAMED = 4
"""Experts that are named; the rest are added up."""


class LaneUse(NamedTuple):
    """The experts asked for the queries of one lane."""

    lane: str
    n: int
    """Queries."""
    share: tuple[float, ...]
    """Of each expert, sum 1."""

    @property
    def words(self) -> str:
        """`n 312: expert 3 61.0 %, expert 7 22.1 %, 14 others 16.9 %`, the most asked first."""
        return f"n {thousands(self.n)}: {words_of(self.share)}"


class ExpertUse(NamedTuple):
    """The experts asked in one evaluation."""

    source: str
    """Where the lanes come from, in words."""
    everywhere: LaneUse
    lanes: tuple[LaneUse, ...]
    """The largest first."""


def expert_use(details: Mapping[str, Any]) -> ExpertUse | None:
    """What an evaluation's details say; None for a model without experts, or where it cannot be read."""
    found = details.get(KEY)
    if not isinstance(found, Mapping):
        return None
    try:
        lanes = tuple(
            LaneUse(plain(str(item["name"])), int(item["n"]), _shares(item["share"]))
            for item in found["lanes"]
        )
        n = sum(lane.n for lane in lanes)
        return ExpertUse(plain(str(found["source"])), LaneUse("all", n, _shares(found["share"])), lanes)
    except (KeyError, TypeError, ValueError):
        return None


def _shares(values: Sequence[Any]) -> tuple[float, ...]:
    return tuple(float(value) for value in values)


def words_of(share: Sequence[float]) -> str:
    """`expert 3 61.0 %, expert 7 22.1 %, 14 others 16.9 %`, the most asked first."""
    return ", ".join(_parts(share))


def _parts(share: Sequence[float]) -> Iterator[str]:
    asked = sorted((value, -index) for index, value in enumerate(share) if value > 0)[::-1]
    named = asked if len(asked) <= NAMED + 1 else asked[:NAMED]
    for value, index in named:
        yield f"expert {1 - index} {percent(value)} %"
    rest = asked[len(named) :]
    if rest:
        yield f"{len(rest)} others {percent(sum(value for value, _ in rest))} %"
    never = len(share) - len(asked)
    if never:
        yield f"{never} never asked"
