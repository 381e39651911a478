"""The current state of one patient in the monitor: the last minute of samples, the latest
events, and the age of each."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any, NamedTuple

from dashboards.monitor.live.action_log import ActionLog
from dashboards.monitor.live.alarm_book import AlarmBook
from dashboards.monitor.live.frames import encode_chunk
from dashboards.monitor.live.views import (
    View,
    alarm_view,
    beat_view,
    edit_view,
    finding_view,
    journal_view,
    ms,
    reference_view,
    rhythm_view,
    score_view,
    vitals_view,
)
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
    sample_offset_ns,
)


class ReceivedOrders(NamedTuple):
    """The orders in force that the processor published, and their arrival time in seconds of the
    steady clock."""

    orders: Orders
    at_s: float


Word = Action | Edit | JournalEntry  # from people, the wearer included
Sign = Beat | Rhythm | Vitals | Alarm | Score | Reference | Finding
TRACE_S = 56.0  # three rows of 18 s, as long as a large screen shows, and the samples in transit
_SAME_STREAM_NS = 1_000_000_000
_BEATS = 300  # 56 s at 300/min, with a margin
_EDITS = 60
_JOURNAL = 60


class Bedside:
    """State of one patient. Times in seconds are arrival times by the monitor's steady clock."""

    def __init__(self, patient_id: str, number: int, at_s: float) -> None:
        self.patient_id = patient_id
        self.number = number
        self.stream = 0
        self.alarms = AlarmBook()
        self.actions = ActionLog()
        self.orders: ReceivedOrders | None = None  # None: the processor has published none yet
        self.history_loaded = False
        self.last_s = at_s  # arrival of the last message of any kind
        self._samples_s: float | None = None
        self._vitals_s: float | None = None
        self._chunks: deque[SampleChunk] = deque()
        self._beats: deque[Beat] = deque(maxlen=_BEATS)
        self._vitals: Vitals | None = None
        self._rhythm: Rhythm | None = None
        self._score: Score | None = None
        self._findings: dict[str, Finding] = {}  # newest finding of each task
        self._references: deque[Reference] = deque(maxlen=_BEATS)
        self._edits: deque[Edit] = deque(maxlen=_EDITS)
        self._journal: deque[JournalEntry] = deque(maxlen=_JOURNAL)

    @property
    def newest_ns(self) -> int:
        """Stream time of the newest message, 0 if there is none."""
        chunk = self._chunks[-1].t0_ns if self._chunks else 0
        return max(
            chunk,
            self._vitals.time_ns if self._vitals else 0,
            max((a.raised_ns for a in self.alarms.standing()), default=0),
        )

    @property
    def stream_start_ns(self) -> int:
        """Time of the current stream's sample 0, or 0."""
        return self._chunks[-1].start_ns if self._chunks else 0

    def add_chunk(self, chunk: SampleChunk, at_s: float) -> bool:
        """Keep a chunk; False if it is a repeat or too old to be drawn."""
        if self._chunks and not self._continues(chunk):
            self._start_again()
        elif not self._chunks:
            self.stream += 1
        if any(
            chunk.first_sample == kept.first_sample and chunk.n <= kept.n
            for kept in reversed(self._chunks)
        ):
            return False
        self._insert(chunk)
        self._end_alarms_of_ended_stream()
        self._samples_s = self.last_s = at_s
        return True

    @property
    def battery(self) -> float | None:
        """Battery level that the device last reported, 0 to 1."""
        return self._chunks[-1].battery if self._chunks else None

    @property
    def rhythm(self) -> Rhythm | None:
        """The newest rhythm."""
        return self._rhythm

    def find(self, target: str, target_id: str) -> Alarm | Beat | Rhythm | None:
        """An alarm, beat or rhythm by its id (ingest.messages.Edit), if it is among the newest."""
        if target == "alarm":
            return self.alarms.get(target_id)
        if target == "beat":
            return next((beat for beat in self._beats if str(beat.time_ns) == target_id), None)
        return self._rhythm if self._rhythm and str(self._rhythm.start_ns) == target_id else None

    def add_entry(self, word: Word) -> bool:
        """Add a person's action, edit or journal entry; False if it is a repeat. It does not count
        as a sign of life of the patient."""
        if isinstance(word, Action):
            return self.actions.put(word)
        kept: deque[Any] = self._edits if isinstance(word, Edit) else self._journal
        if any((known.id, known.time_ns) == (word.id, word.time_ns) for known in kept):
            return False
        kept.append(word)
        return True

    def add_event(self, event: Sign, at_s: float) -> None:
        """Add a beat, a rhythm, vitals, an alarm's step, a score, a finding of an added task, or
        the reference annotation of a beat."""
        self.last_s = max(self.last_s, at_s)
        if isinstance(event, Beat):
            self._beats.append(event)
        elif isinstance(event, Vitals):
            self._vitals, self._vitals_s = event, at_s
        elif isinstance(event, Rhythm):
            self._rhythm = event
        elif isinstance(event, Alarm):
            self.alarms.put(event)
            self._end_alarms_of_ended_stream()
        elif isinstance(event, Reference):
            self._references.append(event)
        elif isinstance(event, Finding):
            self._findings[event.task] = event
        else:
            self._score = event

    def silenced(self, now_s: float, now_ns: int) -> list[View]:
        """The kinds of alarm that the processor reports as silenced, each with its end by this
        server's wall clock."""
        if self.orders is None:
            return []
        passed_s = now_s - self.orders.at_s
        return [
            {"kind": kind, "until": ms(now_ns + round((left_s - passed_s) * 1e9))}
            for kind, left_s in self.orders.orders.silenced.items()
        ]

    def frames(self) -> Iterator[bytes]:
        """The kept samples, oldest first, as frames."""
        return (encode_chunk(chunk, self.number, self.stream, past=True) for chunk in self._chunks)

    def frame(self, chunk: SampleChunk) -> bytes:
        """A chunk that just came, as a frame."""
        return encode_chunk(chunk, self.number, self.stream)

    def snapshot(self, now_s: float, now_ns: int) -> View:
        """Everything but the samples, for a page that begins to show this patient; now by the
        steady clock and by the wall clock."""
        last = self._chunks[-1] if self._chunks else None
        return {
            "id": self.patient_id,
            "number": self.number,
            "stream": self.stream,
            "device": last.device_id if last else "",
            "lead": last.lead if last else "",
            "battery": self.battery,
            "samples_age_s": _age(now_s, self._samples_s),
            "vitals_age_s": _age(now_s, self._vitals_s),
            "ended": last is not None and last.end,
            "history_loaded": self.history_loaded,
            "vitals": vitals_view(self._vitals) if self._vitals else None,
            "rhythm": rhythm_view(self._rhythm) if self._rhythm else None,
            "beats": [beat_view(beat) for beat in self._beats],
            "references": [reference_view(reference) for reference in self._references],
            "alarms": [alarm_view(alarm) for alarm in self.alarms.all()],
            "silenced": self.silenced(now_s, now_ns),
            "score": score_view(self._score) if self._score else None,
            "findings": [finding_view(finding) for finding in self._findings.values()],
            "edits": [edit_view(edit) for edit in self._edits],
            "journal": [journal_view(entry) for entry in self._journal],
        }

    def _continues(self, chunk: SampleChunk) -> bool:
        """True if the chunk lies on the time line of the newest one, roughly, because device clocks
        drift."""
        last = self._chunks[-1]
        if chunk.fs_hz != last.fs_hz or chunk.counts_per_mv != last.counts_per_mv:
            return False
        expected = last.t0_ns + sample_offset_ns(chunk.first_sample - last.first_sample, last.fs_hz)
        return abs(chunk.t0_ns - expected) < _SAME_STREAM_NS

    def _start_again(self) -> None:
        self.stream += 1
        self._chunks.clear()
        self._beats.clear()
        self._references.clear()
        self._findings.clear()
        self._vitals = self._rhythm = self._vitals_s = self._score = None
        self.alarms.end_stream()

    def _end_alarms_of_ended_stream(self) -> None:
        """End the alarms again if the stream has ended: alarms of its last seconds do not hold any
        longer either."""
        if self._chunks and self._chunks[-1].end:
            self.alarms.end_stream()

    def _insert(self, chunk: SampleChunk) -> None:
        """Insert in order of time, even if late, and drop what has left the screen."""
        late = []
        while self._chunks and self._chunks[-1].first_sample > chunk.first_sample:
            late.append(self._chunks.pop())
        self._chunks.append(chunk)
        self._chunks.extend(reversed(late))
        oldest = self._chunks[-1].t0_ns - round(TRACE_S * 1e9)
        while self._chunks[0].t0_ns < oldest:
            self._chunks.popleft()


def _age(now_s: float, at_s: float | None) -> float | None:
    return None if at_s is None else round(max(0.0, now_s - at_s), 2)
