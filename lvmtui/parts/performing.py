"""Has operations performed where a run is: here in a thread, or by its host, now or when it is back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from rich.text import Text
from textual import work
from textual.app import App

from lvmtui import commands
from lvmtui.errors import LvmtuiError, RemoteError
from lvmtui.format import counted
from lvmtui.operations import ASKS, Outcome
from lvmtui.remote.hosts import global_id
from lvmtui.snapshot import Contact, RunView, Snapshot
from lvmtui.store.records import Run

if TYPE_CHECKING:
    from lvmtui.commands import Keymap
    from lvmtui.remote.asking import Pending
    from lvmtui.remote.fleet import Fleet
    from lvmtui.remote.hosts import Host
    from lvmtui.remote.link import Link
    from lvmtui.remote.outbox import Answer, Entry

ANSWER_SECONDS = 3.0
"""How long a host's answer is waited for before the user is told that the request waits."""

GATES_SECONDS = 60.0
"""How long a question is waited for: checking a checkpoint's file takes long where it is large."""

SLICE_SECONDS = 0.25
"""Quitting takes at most so long while an answer is waited for."""

Value = TypeVar("Value")


class Performing(App[int]):
    """The part of the App that has things done."""

    store: str
    snapshot: Snapshot | None = None
    readonly: bool = False
    fleet: Fleet | None = None
    hosts: tuple[Host, ...] = ()
    keymap: Keymap

    def __init__(self) -> None:
        super().__init__()
        self._asked: dict[str, tuple[str, asyncio.Future[Answer | None]]] = {}
        """Requests whose answers are waited for: id -> host, and what the answer becomes."""
        self._being_made = 0
        """Requests whose ids are not known yet."""
        self._seen_pending: dict[str, frozenset[str]] = {}
        """Host -> ids of the requests that waited for it when last looked at."""

    def view_of(self, run_id: int | None) -> RunView | None:
        """The run with this id, if it is known."""
        return self.snapshot.view(run_id) if self.snapshot else None

    def tell(self, message: str, *, severity: str = "information", seconds: float | None = None) -> None:
        """A notification whose text is never taken for markup."""
        timeout = seconds or (10 if severity == "error" else 5)
        self.notify(message, severity=severity, markup=False, timeout=timeout)  # type: ignore[arg-type]

    async def call_blocking(self, work: Callable[[], Value]) -> Value | None:
        """The result of a blocking call, made in a thread; None after telling why it failed."""
        try:
            return await asyncio.to_thread(work)
        except LvmtuiError as error:
            self.tell(str(error), severity="error")
        except OSError as error:
            self.tell(f"{error.strerror or error}: {error.filename or self.store}", severity="error")
        return None

    def changeable(self, run_id: int | None) -> RunView | None:
        """The run, if it may be changed; None after saying why not."""
        view = self.view_of(run_id)
        if view is None or self.readonly:
            return None
        why = self.why_fixed(view.run.origin)
        if why:
            self.tell(f"{view.run.name} cannot be changed from here: {why}", severity="warning")
            return None
        return view

    def why_fixed(self, host: str) -> str:
        """Why nothing can be changed on a host; empty: it can. The host "" is this machine."""
        found = self.snapshot.host(host) if self.snapshot and host else None
        return found.readonly if found is not None else ""

    async def perform(self, run: Run, what: str, verb: str, **arguments: Any) -> Outcome | None:
        """Have something done to a run, where it is.

        Args:
            run: the run.
            what: name of the operation.
            verb: what it does in a word, as in "stop phase-3 #17".
            arguments: its arguments; other runs by their number.

        Returns:
            What was done, however long its host is away; None after telling why it was not, or was withdrawn.
        """
        if not run.origin:
            from lvmtui import operations

            local = {"run": run.id, **arguments}
            return await self.call_blocking(partial(operations.perform, self.store, what, local))
        try:
            there = {"run": run.number, "created": run.created, **arguments}
            return await self.ask_host(run.origin, what, there, f"{verb} {run.name}", run_id=run.id)
        except LvmtuiError as error:
            self.tell(str(error), severity="error")
            return None

    async def ask_host(
        self,
        host: str,
        what: str,
        arguments: Mapping[str, Any],
        words: str,
        *,
        run_id: int | None = None,
        on_wait: Callable[[], None] | None = None,
    ) -> Outcome | None:
        """Have a host do something, now or when it is back.

        Args:
            host: its name.
            what: name of the operation.
            arguments: its arguments, runs by their number there.
            words: what is asked; the first word is the verb.
            run_id: the run that it is about.
            on_wait: called when there is no answer yet and the user was told so.

        Returns:
            What was done; None: the request was withdrawn.

        Raises:
            LvmtuiError: the host refuses, or cannot be asked.
        """
        self._being_made += 1
        try:
            pending = await asyncio.to_thread(self._request, host, what, arguments, words, run_id)
        finally:
            self._being_made -= 1
        known = self._asked.setdefault(pending.id, (host, asyncio.get_running_loop().create_future()))
        try:
            answer = await asyncio.to_thread(self._wait, pending, ANSWER_SECONDS)
            if answer is None:
                if not known[1].done():  # else it was withdrawn at once
                    self._tell_that_it_waits(host, words)
                if on_wait is not None:
                    on_wait()
                self.look_after_answers(host)
                answer = await asyncio.shield(known[1])
        finally:
            self._asked.pop(pending.id, None)
        if answer is None:
            return None
        if not answer.ok:
            # Paths and disks that it speaks of are not those of this machine.
            words = answer.words if host in answer.words else f"{host}: {answer.words}"
            raise RemoteError(words, answer.hint)
        number = answer.data.get("run")
        return Outcome(answer.words, number if type(number) is int else None, answer.data)

    def _request(
        self, host: str, what: str, arguments: Mapping[str, Any], words: str, run_id: int | None
    ) -> Pending:
        return self._link(host).request(what, arguments, words, run_id)

    def _link(self, host: str) -> Link:
        """The connection to a host; may take a moment at the start, so not for the UI thread."""
        if self.fleet is None:
            raise RemoteError(f"{host} is not connected to yet", "Try again in a moment.")
        return self.fleet.link(host)

    def ask_now(self, run: Run, what: str, **arguments: Any) -> Mapping[str, Any]:
        """Something about a run that only its host can tell. Blocks: call it in a thread.

        Raises:
            RemoteError: the host does not answer, or refuses.
        """
        link = self._link(run.origin)
        if link.view.contact is not Contact.LIVE:
            raise RemoteError(f"{run.origin} does not answer: {link.view.reason}", link.view.hint)
        pending = link.request(what, {"run": run.number, **arguments}, f"{what} {run.name}", run.id)
        answer = self._wait(pending, GATES_SECONDS)
        if answer is None:
            link.forget(pending.id)
            raise RemoteError(f"{run.origin} has not answered within {GATES_SECONDS:.0f} s")
        if not answer.ok:
            raise RemoteError(answer.words, answer.hint)
        return answer.data

    def _wait(self, pending: Pending, seconds: float) -> Answer | None:
        """An answer, if it comes in time; quitting does not wait for it. Blocks: call it in a thread."""
        end = time.monotonic() + seconds
        while True:
            left = end - time.monotonic()
            answer = pending.wait(max(0.0, min(left, SLICE_SECONDS)))
            if answer is not None or left <= 0 or not self.is_running:
                return answer

    def _tell_that_it_waits(self, host: str, words: str) -> None:
        verb, _, rest = words.partition(" ")
        view = self.snapshot.host(host) if self.snapshot else None
        keys = commands.keys_of(commands.BY_ID["hosts"], self.keymap)
        key = keys[0] if keys else "the hosts screen"
        if view is not None and view.contact is Contact.LIVE:
            self.tell(f"{verb} of {rest} was sent; {host} has not answered yet ({key} shows it)")
        else:
            self.tell(
                f"{verb} of {rest} waits: {host} does not answer; it is asked once it is back "
                f"({key} shows and withdraws it)",
                severity="warning",
            )

    def look_after_answers(self, only: str = "") -> None:
        """Take up answers to what was asked of hosts some time ago, in this session or another.

        Args:
            only: look at this host, whether or not fewer requests wait for it than before.
        """
        for host in self.snapshot.hosts if self.snapshot else ():
            now = frozenset(request.id for request in host.pending)
            before = self._seen_pending.get(host.name)
            self._seen_pending[host.name] = now
            if before is None or before - now or host.name == only:
                self.take_answers(host.name)

    @work(group="answers")
    async def take_answers(self, host: str) -> None:
        """Tell answers that nobody waits for, and wake those who wait."""
        asked = [request for request, (where, _) in self._asked.items() if where == host]
        found = await self.call_blocking(partial(self._answers, host, asked, untold=not self._being_made))
        if found is None:
            return
        untold, ended = found
        for request, answer in ended.items():
            _, future = self._asked.get(request, (host, None))
            if future is not None and not future.done():
                future.set_result(answer)
        for entry, answer in untold:
            if entry.id not in self._asked and entry.what not in ASKS:
                self._tell_late(host, entry, answer)

    def _answers(
        self, host: str, asked: Sequence[str], *, untold: bool
    ) -> tuple[list[tuple[Entry, Answer]], dict[str, Answer | None]]:
        """What nobody was told yet; and of what is waited for that which is over, None where withdrawn."""
        from lvmtui.remote.outbox import Outbox, outbox_file

        machine = next((item for item in self.hosts if item.name == host), None)
        if machine is None:
            return [], {}
        outbox = Outbox(outbox_file(machine))
        try:
            waiting = {entry.id for entry in outbox.unanswered()}
            ended = {request: outbox.answer(request) for request in asked if request not in waiting}
            return outbox.untold() if untold else [], ended
        finally:
            outbox.close()

    def _tell_late(self, host: str, entry: Entry, answer: Answer) -> None:
        if answer.ok:
            self.tell(f"{host} has answered: {answer.words}", seconds=10)
        else:
            self.tell(f"{host} did not {entry.words}: {answer}", severity="error")

    def id_on(self, host: str, number: int) -> int | None:
        """The id here of a run on a host."""
        slots = self.fleet.mirrors() if self.fleet is not None else {}
        ids = (global_id(slot, number) for slot in slots)
        return next((one for one in ids if self.fleet and self.fleet.name_of(one) == host), None)

    async def action_quit(self) -> None:
        """Quit, and say what becomes of what hosts were not asked yet."""
        waiting = {host.name: len(host.pending) for host in self.snapshot.hosts} if self.snapshot else {}
        count = sum(waiting.values())
        if not count:
            self.exit()
            return
        names = ", ".join(name for name, number in waiting.items() if number)
        verb = "waits" if count == 1 else "wait"
        them = "It is" if count == 1 else "They are"
        words = (
            f"{counted(count, 'request')} {verb} for {names}. {them} delivered when lvmtui is next opened."
        )
        self.exit(message=Text(words))
