"""Large values of a host's store, written into its mirror: ranks, documents of queries, facts about them."""

from __future__ import annotations

from lvmtui.remote.agent.wire import Message, WireError
from lvmtui.remote.mirrors.checks import SHORT_TEXT, a_text, number_of, packed_numbers
from lvmtui.remote.mirrors.session import Session
from lvmtui.store.foreign import clean_json
from lvmtui.store.records import QUERY_FACTS


def ranks(session: Session, message: Message) -> bool:
    """Keep a large value beside the row that it belongs to."""
    place = (message.get("table"), message.get("column"))
    if place == ("evaluation", "ranks"):
        return _evaluation(session, message)
    if place == ("protocol", "query_groups"):
        return _protocol(session, message)
    return place == ("query_fact", "packed") and _fact(session, message)


def _evaluation(session: Session, message: Message) -> bool:
    key = session.id(number_of(message.get("id")))
    data = packed_numbers(message.get("data"))
    if not session.run("UPDATE evaluation SET ranks = ? WHERE id = ? AND ranks IS NOT ?", (data, key, data)):
        return False
    session.tell("ranks", [session.one("SELECT run_id FROM evaluation WHERE id = ?", (key,)) or 0])
    return True


def _protocol(session: Session, message: Message) -> bool:
    key = a_text(message.get("id"), "the id of a protocol", SHORT_TEXT)
    data = packed_numbers(message.get("data"))
    update = "UPDATE protocol SET query_groups = ? WHERE id = ? AND query_groups IS NOT ?"
    if not session.run(update, (data, key, data)):
        return False
    session.tell("protocol", [0])
    session.tell("ranks", [0])
    return True


def _fact(session: Session, message: Message) -> bool:
    protocol = a_text(message.get("id"), "the id of a protocol", SHORT_TEXT)
    name = message.get("name")
    if name not in QUERY_FACTS:
        return False
    if session.one("SELECT 1 FROM protocol WHERE id = ?", (protocol,)) is None:
        raise WireError("a fact about queries came before its protocol")
    row = (protocol, name, packed_numbers(message.get("data")), clean_json(message.get("meta"), "meta"))
    known = session.all(
        "SELECT protocol_id, name, packed, meta FROM query_fact WHERE protocol_id = ? AND name = ?", row[:2]
    )
    if known == [row]:
        return False
    session.run(
        "INSERT OR REPLACE INTO query_fact (protocol_id, name, packed, meta) VALUES (?, ?, ?, ?)", row
    )
    session.tell("ranks", [0])
    return True
