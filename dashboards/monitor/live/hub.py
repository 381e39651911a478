"""Connects the feed with the open pages: updates the board with each message and passes each page
only the patients that it shows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

import msgspec

from dashboards.monitor.live.bedside import Bedside, Sign, Word
from dashboards.monitor.live.board import Board
from dashboards.monitor.live.feed import Arrival, Feed
from dashboards.monitor.live.refused_input import RefusedInput
from dashboards.monitor.live.views import (
    View,
    action_view,
    alarm_view,
    beat_view,
    edit_view,
    finding_view,
    journal_view,
    reference_view,
    rhythm_view,
    score_view,
    vitals_view,
)
from ingest.bounds import SYSTEM
from ingest.clock import Clock
from ingest.messages import (
    Action,
    Alarm,
    Beat,
    Edit,
    Finding,
    JournalEntry,
    Orders,
    Reference,
    Rhythm,
    SampleChunk,
    Score,
    Vitals,
)
from ingest.registry.state import Registry
from stream_processor.scoring.reference import AAMI

# messages that a page may lag behind; beyond that it is disconnected, and reconnects to a fresh
# state
OUTBOX = 2000
MAX_WATCHED = 128
PROTOCOL = 1
_json = msgspec.json.Encoder()


class Page:
    """One open page: the patients that it watches and the messages still to be sent to it."""

    def __init__(self) -> None:
        self.watched: set[str] = set()
        self.outbox: asyncio.Queue[bytes | str] = asyncio.Queue(OUTBOX)
        self.too_slow = asyncio.Event()

    def send(self, message: bytes | View) -> None:
        data = message if isinstance(message, bytes) else _json.encode(message).decode()
        try:
            self.outbox.put_nowait(data)
        except asyncio.QueueFull:
            self.too_slow.set()


class Hub:
    """The pages and the board between them and the feed."""

    def __init__(
        self,
        board: Board,
        feed: Feed,
        clock: Clock,
        commands: Sequence[str] = (),
        registry: Callable[[], Registry] | None = None,
        record: Mapping[str, object] | None = None,
    ) -> None:
        self.board = board
        self._record = record  # the record that is viewed; None for a ward
        nobody = Registry()
        self._registry = registry or (lambda: nobody)
        # patients whose stored alarms have not been read yet
        self.unread_history: asyncio.Queue[str] = asyncio.Queue()
        self._feed = feed
        self._commands = list(commands)
        self._clock = clock
        self._pages: set[Page] = set()
        self._watchers: dict[str, set[Page]] = {}

    @property
    def pages(self) -> int:
        """Number of open pages."""
        return len(self._pages)

    def join(self, page: Page) -> None:
        self._pages.add(page)
        hello = {"type": "hello", "protocol": PROTOCOL, "commands": self._commands}
        page.send(hello | ({"record": self._record} if self._record else {}))
        page.send(self._ward())

    def leave(self, page: Page) -> None:
        self._pages.discard(page)
        self._unwatch(page, set(page.watched))

    def watch(self, page: Page, patients: Sequence[str]) -> None:
        """Make the page watch exactly these patients; the whole state of newly watched ones is
        sent."""
        wanted = list(dict.fromkeys(patients))[:MAX_WATCHED]
        self._unwatch(page, page.watched - set(wanted))
        for patient in wanted:
            if patient not in page.watched:
                page.watched.add(patient)
                self._watchers.setdefault(patient, set()).add(page)
                self._send_whole(page, patient)

    def deliver(self, arrivals: Sequence[Arrival]) -> None:
        """Process a batch of the feed: the board first, then the pages."""
        events: dict[Page, list[View]] = {}
        self._know()
        for message, at_s in arrivals:
            if isinstance(message, RefusedInput):
                self.board.refused.add(message, at_s)
                continue
            if self.board.discharged(message.patient_id):
                continue
            if isinstance(message, Action | Edit | JournalEntry):
                self._word(message, events)
                continue
            if isinstance(message, Orders):
                self._take_orders(message, at_s, events)
                continue
            if isinstance(message, Reference) and message.symbol not in AAMI:
                continue  # reference annotations of rhythm and signal: the score covers them
            if message.patient_id == SYSTEM:
                if isinstance(message, Alarm):
                    self.board.system.put(message)
                continue
            bed, new = self.board.bed(message.patient_id, at_s)
            if new:
                self.unread_history.put_nowait(message.patient_id)
            pages = self._watchers.get(message.patient_id, ())
            if isinstance(message, SampleChunk):
                self._samples(bed, message, at_s, pages)
                continue
            if new:
                self.refresh(message.patient_id)  # the message with the patient's number
            bed.add_event(message, at_s)
            for page in pages:
                events.setdefault(page, []).append(_event_view(bed, message))
        for page, views in events.items():
            page.send({"type": "events", "events": views})

    def refresh(self, patient: str) -> None:
        """Send a patient's state again, for instance after its history has been read."""
        bed = self.board.get(patient)
        for page in self._watchers.get(patient, ()):
            if bed:
                page.send(self._state(bed))

    def tick(self) -> None:
        """Run once a second: drop inactive patients and send every page the summary of the ward,
        which is also the server's sign of life."""
        self._know()
        self.board.forget()
        ward = self._ward()
        for page in self._pages:
            page.send(ward)

    def _know(self) -> None:
        """Take the newest list of people; who was admitted gets a place on the ward."""
        for patient in self.board.know(self._registry()):
            self.unread_history.put_nowait(patient)
            self.refresh(patient)

    def _word(self, word: Word, events: dict[Page, list[View]]) -> None:
        """Send a person's action, edit or journal entry to the pages that watch the patient. For a
        patient who is not on the ward it is only in the store."""
        bed = self.board.get(word.patient_id)
        if bed is None or not bed.add_entry(word):
            return
        for page in self._watchers.get(word.patient_id, ()):
            events.setdefault(page, []).append({"p": bed.number, **_entry_view(word)})

    def _take_orders(self, orders: Orders, at_s: float, events: dict[Page, list[View]]) -> None:
        """Send the orders in force to the pages that watch the patient."""
        bed = self.board.take_orders(orders, at_s)
        for page in self._watchers.get(orders.patient_id, ()) if bed else ():
            silenced = bed.silenced(self._clock.steady_s(), self._clock.now_ns()) if bed else []
            events.setdefault(page, []).append(
                {"p": bed.number if bed else 0, "silenced": silenced}
            )

    def _state(self, bed: Bedside) -> View:
        return {"type": "patient", **bed.snapshot(self._clock.steady_s(), self._clock.now_ns())}

    def _ward(self) -> View:
        now_ms = self._clock.now_ns() // 1_000_000
        return {
            "type": "ward",
            "now": now_ms,
            "broker": self._feed.connected,
            **self.board.summary(),
        }

    def _samples(
        self, bed: Bedside, chunk: SampleChunk, at_s: float, pages: set[Page] | tuple[()]
    ) -> None:
        stream, battery = bed.stream, bed.battery
        if not bed.add_chunk(chunk, at_s) or not pages:
            return
        if bed.stream != stream:
            self.refresh(bed.patient_id)
        elif bed.battery != battery:
            for page in pages:
                page.send({"type": "events", "events": [{"p": bed.number, "battery": bed.battery}]})
        frame = bed.frame(chunk)
        for page in pages:
            page.send(frame)

    def _send_whole(self, page: Page, patient: str) -> None:
        bed = self.board.get(patient)
        if bed is None:
            page.send({"type": "unknown", "id": patient})
            return
        page.send(self._state(bed))
        for frame in bed.frames():
            page.send(frame)

    def _unwatch(self, page: Page, patients: set[str]) -> None:
        page.watched -= patients
        for patient in patients:
            watchers = self._watchers[patient]
            watchers.discard(page)
            if not watchers:
                del self._watchers[patient]


def _entry_view(word: Word) -> View:
    if isinstance(word, Action):
        return {"action": action_view(word)}
    if isinstance(word, Edit):
        return {"edit": edit_view(word)}
    return {"journal": journal_view(word)}


def _event_view(bed: Bedside, event: Sign) -> View:
    if isinstance(event, Beat):
        return {"p": bed.number, "beat": beat_view(event)}
    if isinstance(event, Vitals):
        return {"p": bed.number, "vitals": vitals_view(event)}
    if isinstance(event, Rhythm):
        return {"p": bed.number, "rhythm": rhythm_view(event)}
    if isinstance(event, Reference):
        return {"p": bed.number, "reference": reference_view(event)}
    if isinstance(event, Score):
        return {"p": bed.number, "score": score_view(event)}
    if isinstance(event, Finding):
        return {"p": bed.number, "finding": finding_view(event)}
    return {"p": bed.number, "alarm": alarm_view(event)}
