"""Protocols in words: what was judged, what makes two of them incomparable, what is wrong with one. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lvmtui.format import counted, percent, plain, thousands
from lvmtui.store.looks import words
from lvmtui.store.records import Evaluation, Protocol

MOST_DIFFERENCES = 6
"""Differences that are named; of others only the number."""


def flaws_of(protocol: Protocol | None) -> tuple[str, ...]:
    """What is wrong with a protocol, in sentences; empty for one that is sound."""
    flaws = protocol.spec.get("flaws", ()) if protocol else ()
    if isinstance(flaws, str):
        return (flaws,)
    return tuple(str(item) for item in flaws) if isinstance(flaws, Sequence) else ()


def heading(protocol_id: str, protocol: Protocol | None, data: str) -> str:
    """One line on what a group was judged on."""
    if protocol is None:
        return f"protocol {protocol_id}"
    legacy = " (legacy)" if flaws_of(protocol) else ""
    return (
        f"{protocol.name}{legacy} on {data} · {protocol.split} · n {thousands(protocol.n)}"
        f" · pool {thousands(protocol.pool)} · {_documents(protocol)} · id {protocol_id}"
    )


def _documents(protocol: Protocol) -> str:
    return counted(protocol.documents, "document") if protocol.documents else "no documents"


def looks_words(looks: int) -> str:
    """How often the test split was looked at, and what more than once means."""
    said = f"The test split was {words(looks)}"
    return f"{said}: the more, the less its scores prove." if looks > 1 else f"{said}."


def difference(protocol: Protocol | None, reference: Protocol | None) -> str:
    """A sentence on what makes two protocols incomparable; empty when they are the same."""
    if protocol is None or reference is None:
        return "Not comparable with the first group: how one of them was judged is not recorded."
    here, there = _facts(protocol), _facts(reference)
    if protocol.name == reference.name:
        # Another protocol has other details; those of one and the same are what tells.
        here, there = here | _details(protocol), there | _details(reference)
    keys = [key for key in here | there if here.get(key) != there.get(key)]
    parts = [f"{key} {_words(here.get(key))} instead of {_words(there.get(key))}" for key in keys]
    if not parts:
        return ""
    more = len(parts) - MOST_DIFFERENCES
    shown = "; ".join(parts[:MOST_DIFFERENCES]) + (f"; and {more} more" if more > 0 else "")
    return f"Not comparable with the first group: {shown}."


def _facts(protocol: Protocol) -> dict[str, Any]:
    """What every protocol has, in words -> value."""
    return {
        "protocol": protocol.name,
        "data fingerprint": protocol.data_fingerprint,
        "split": protocol.split,
        "queries": protocol.n,
        "pool": protocol.pool,
        "documents": protocol.documents,
    }


def _details(protocol: Protocol) -> dict[str, Any]:
    """The rest of what is hashed into a protocol's id, in words -> value."""
    known = {"name", "data", "data_fingerprint", "n", "documents", "protocol", "flaws"}
    renamed = {"queries": "asked", "pool": "pooled"}
    rest = {key: value for key, value in protocol.spec.items() if key not in known}
    return {renamed.get(key, key): value for key, value in _flat(rest) if key != "split name"}


def _flat(spec: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    pairs: list[tuple[str, Any]] = []
    for key, value in spec.items():
        name = f"{prefix}{key}".replace("_", " ")
        pairs += _flat(value, f"{name} ") if isinstance(value, Mapping) else [(name, value)]
    return pairs


def _words(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "on" if value else "off"
    return thousands(value) if isinstance(value, int) else plain(str(value))


def protocol_words(protocol: Protocol, best: Evaluation | None = None) -> Iterator[str]:
    """A protocol in sentences, what is wrong with it first; what is not known here as name and value."""
    for flaw in flaws_of(protocol):
        yield f"Wrong with it: {plain(flaw)}"
    spec = {key: value for key, value in protocol.spec.items() if key != "flaws"}
    split = spec.pop("split", None)
    split = split if isinstance(split, Mapping) else {"by": split} if split else {}
    seed = f", seed {split['seed']}" if "seed" in split else ""
    by = f"; split by {plain(str(split['by']))}{seed}" if "by" in split else ""
    yield (
        f"{thousands(protocol.n)} queries in {_documents(protocol)} of the {plain(protocol.split)} split{by}."
    )
    queries = spec.pop("queries", None)
    if queries:
        yield f"Queries: {plain(str(queries))}."
    pool = spec.pop("pool", None)
    candidates = counted(protocol.pool, "candidate")
    yield f"Pool of {candidates}{f': {plain(str(pool))}' if pool is not None else ''}."
    near = spec.pop("near_duplicate", None)
    if near is not None:
        share = percent(protocol.duplicate_share)
        yield (
            f"{share} % of the targets have a near duplicate in the pool (cosine above {near}); it counts as "
            "the target."
        )
    ties = spec.pop("ties", None)
    if ties:
        yield "Ties count against the model." if ties == "against" else f"Ties: {plain(str(ties))}."
    inside = spec.pop("within_document", None)
    if inside is not None:
        yield f"Contexts {'stay inside the document' if inside else 'may reach into earlier documents'}."
    if best is not None and best.interval_method:
        yield f"Intervals: 95 %, {plain(best.interval_method)}."
    rest = [(key, value) for key, value in _flat(spec) if key not in {"name", "version", "data"}]
    if rest:
        yield "; ".join(f"{plain(key)}: {_words(value)}" for key, value in rest) + "."
    yield f"{plain(protocol.name)}, id {protocol.id}, data {protocol.data_fingerprint}."
