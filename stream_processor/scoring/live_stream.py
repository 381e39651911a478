"""The running score of one stream against the annotations that are replayed beside it.

What is not judged for good yet is kept, and judged anew each time, by the offline rules (beats.py,
reference.py): so the last score is the offline one. Beats and rhythm before `beats_to` are judged
for good, and episodes before `episodes_to`; what lies before both is forgotten. Each topic comes in
order but at its own pace, so beats are judged for good only where a later beat and a later
annotation have come too: a message that comes after its time was scored still counts, from the next
Score on. Unlike the offline report, nothing is left out as learning time.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import NamedTuple, TypeVar

import msgspec

from ingest.messages import Alarm, AlarmKind, Beat, Reference, Rhythm, Score, sample_offset_ns
from stream_processor.scoring.beats import WINDOW_S, BeatScore, score_beats
from stream_processor.scoring.reference import (
    AAMI,
    FIBRILLATION,
    LETHAL,
    Episode,
    Mark,
    Record,
    Symbol,
    reference,
)

EVERY_S = 5.0
ALARM_WAIT_S = 120.0  # an alarm that comes later after an episode's end does not count for it
# of the stream: so far one topic may be behind another, and so long is a pause of beats or
# annotations waited for
PATIENCE_S = 600.0
EARLY_S = 300.0  # so far a stream may be ahead of its first annotation
_KEPT = frozenset(AAMI) | frozenset("+[]")


class Family(NamedTuple):
    """Reference rhythms that must alarm after `least_s`, and the alarms that will do."""

    labels: frozenset[str]
    least_s: float
    kinds: frozenset[AlarmKind]


# experts differ on where one ends
_SHOCKABLE: frozenset[AlarmKind] = frozenset(
    {"ventricular_fibrillation", "ventricular_tachycardia"}
)
FAMILIES = (
    Family(FIBRILLATION, 10.0, _SHOCKABLE),
    Family(frozenset({"VT"}), 10.0, _SHOCKABLE),
    Family(frozenset({"ASYS"}), 10.0, frozenset({"asystole"})),
    Family(frozenset({"AFIB"}), 30.0, frozenset({"atrial_fibrillation"})),
)
T = TypeVar("T", Symbol, Mark)
_ALARMS = frozenset[str]().union(*(family.kinds for family in FAMILIES))
_SINUS = frozenset({"N", "SBR"})
_UNKNOWN = frozenset({"", "~", "NOISE"})
# no rhythm is known before the first annotation of one, and in many records there is none
_BEGIN = Symbol(0, "+", "(")


class _Call(NamedTuple):
    """What counts of an alarm; samples."""

    kind: str
    onset: int
    end: int | None
    announced: int | None  # when it was first


class _State(msgspec.Struct):
    patient_id: str
    device_id: str
    lead: str
    fs_hz: float
    start_ns: int
    reached: int = 0  # our rhythm is decided up to this sample
    given: int = 0  # sample of the last Score
    first: int | None = None  # of the first annotation
    has_beats: bool = False  # there was a beat annotation
    beats_to: int = 0
    episodes_to: int = 0
    matrix: dict[str, int] = {}
    rhythm_n: int = 0  # samples
    agreed_n: int = 0
    episodes: int = 0
    alarmed: int = 0
    worst: int | None = None  # samples
    beats_at: int = -1  # sample of the last message of each topic
    notes_at: int = -1
    alarms_at: int = -1
    changed: bool = False  # since the last Score, what it says of the time before it
    late: int = 0  # messages that came after their time was judged for good
    symbols: list[Symbol] = []  # in order
    beats: list[Mark] = []  # in order
    spans: dict[int, tuple[int, str]] = {}  # our rhythm: start -> (end, label)
    calls: dict[str, _Call] = {}


class StreamScore:
    """One stream, from its first sample on. Messages may come more than once, and each topic at its
    own pace, but each in order."""

    def __init__(self, state: _State) -> None:
        self._state = state
        self._window = int(WINDOW_S * state.fs_hz)

    @classmethod
    def open(cls, message: Beat | Rhythm) -> StreamScore:
        """The stream that the message belongs to."""
        return cls(
            _State(
                message.patient_id,
                message.device_id,
                message.lead,
                message.fs_hz,
                start_of(message),
            )
        )

    @classmethod
    def restore(cls, state: bytes) -> StreamScore:
        """What `snapshot` returned. Raises msgspec.DecodeError for anything else."""
        return cls(msgspec.msgpack.decode(state, type=_State))

    def snapshot(self) -> bytes:
        """All that is remembered."""
        return msgspec.msgpack.encode(self._state)

    @property
    def start_ns(self) -> int:
        """Time of the stream's sample 0: what tells one stream of a patient from another."""
        return self._state.start_ns

    @property
    def reached(self) -> int:
        """The sample up to which our rhythm is decided, and with it everything else."""
        return self._state.reached

    @property
    def has_references(self) -> bool:
        return self._state.first is not None

    @property
    def done(self) -> bool:
        """Whether there is nothing to say that the last Score does not say."""
        state = self._state
        return not self.has_references or (state.given >= state.reached and not state.changed)

    def late(self) -> int:
        """How many messages came after their time was judged for good, since last asked."""
        n, self._state.late = self._state.late, 0
        return n

    def owns(self, message: Reference) -> bool:
        """Whether the annotation is one of this stream."""
        return (
            message.time_ns - sample_offset_ns(message.sample, self._state.fs_hz)
            == self._state.start_ns
        )

    def take(self, message: Reference | Beat | Rhythm | Alarm) -> None:
        """Take note of a message of this stream. What has been judged for good is judged: messages
        from before are ignored."""
        state = self._state
        if isinstance(message, Reference):
            self._take_reference(message)
        elif isinstance(message, Beat):
            self._take_beat(message)
        elif isinstance(message, Rhythm):
            if message.end_sample > state.beats_to:
                end = max(message.end_sample, state.spans.get(message.start_sample, (0, ""))[0])
                state.spans[message.start_sample] = (end, message.label)
            state.reached = max(state.reached, message.end_sample)
        elif message.kind in _ALARMS:
            self._take_alarm(message)

    def advance(self, until: int) -> list[Score]:
        """Judge up to the sample `until`, where every message about what is before it has been
        taken; a Score for every 5 s."""
        state, step = self._state, round(EVERY_S * self._state.fs_hz)
        scores: list[Score | None] = []
        while (end := (state.given // step + 1) * step) <= min(until, state.reached):
            scores.append(self._score(end))
        return [s for s in scores if s is not None]

    def finish(self) -> list[Score]:
        """Judge all that there is, as at the stream's end; it may go on nevertheless."""
        scores = self.advance(self._state.reached)
        last = None if self.done else self._score(max(self._state.given, self._state.reached))
        return scores if last is None else [*scores, last]

    def _take_beat(self, message: Beat) -> None:
        state = self._state
        if message.sample >= state.beats_to:
            new = _insert(state.beats, Mark(message.sample, message.label))
            state.changed = state.changed or (new and message.sample < state.given)
        elif (
            message.sample > state.beats_at
            and state.first is not None
            and message.sample >= state.first
        ):
            state.late += 1  # one that is not after the last of its topic has come before
        state.beats_at = max(state.beats_at, message.sample)

    def _take_reference(self, message: Reference) -> None:
        state = self._state
        if state.first is None:
            state.first = message.sample
            self._forget(message.sample - self._window)
        if message.symbol in _KEPT and message.sample >= state.beats_to:
            new = _insert(state.symbols, Symbol(message.sample, message.symbol, message.aux))
            state.changed = state.changed or (new and message.sample < state.given)
        elif message.symbol in _KEPT and message.sample > state.notes_at:
            state.late += 1
        state.notes_at = max(state.notes_at, message.sample)

    def _take_alarm(self, message: Alarm) -> None:
        state, known = self._state, self._state.calls.get(message.id)
        if message.step == "onset":
            state.late += 1 if state.alarms_at < message.raised_sample < state.episodes_to else 0
            state.alarms_at = max(state.alarms_at, message.raised_sample)
        announced = [known.announced] if known is not None and known.announced is not None else []
        if message.announced:
            # what was held back is not heard when it is raised
            later = round((message.changed_ns - state.start_ns) * state.fs_hz / 1e9)
            announced.append(message.raised_sample if message.step == "onset" else later)
        call = _Call(
            message.kind, message.onset_sample, message.end_sample, min(announced, default=None)
        )
        state.changed = state.changed or (call != known and message.onset_sample < state.given)
        state.calls[message.id] = call

    def _score(self, end: int) -> Score | None:
        """The Score up to a sample; settles what can be."""
        state = self._state
        state.given, state.changed = end, False
        if state.first is None:
            self._forget(end - round(EARLY_S * state.fs_hz))
            return None
        known = self._reference(end)
        state.has_beats = state.has_beats or bool(known.beats)
        self._settle_beats(end)
        self._settle_episodes(known, end)
        beats = BeatScore(_sum(state.matrix, self._matrix(known, end)))
        qrs, v, s = beats.qrs, beats.veb, beats.sveb
        rhythm_n, agreed_n = self._agreement(end)
        episodes, alarmed, worst = self._episodes(known, end, end)
        worst = max((w for w in (worst, state.worst) if w is not None), default=None)
        self._prune()
        return Score(
            patient_id=state.patient_id,
            device_id=state.device_id,
            lead=state.lead,
            time_ns=state.start_ns + sample_offset_ns(end, state.fs_hz),
            qrs_tp=qrs.tp,
            qrs_fn=qrs.fn,
            qrs_fp=qrs.fp,
            v_tp=v.tp,
            v_fn=v.fn,
            v_fp=v.fp,
            s_tp=s.tp,
            s_fn=s.fn,
            s_fp=s.fp,
            rhythm_s=round((state.rhythm_n + rhythm_n) / state.fs_hz, 3),
            rhythm_agreed_s=round((state.agreed_n + agreed_n) / state.fs_hz, 3),
            episodes=state.episodes + episodes,
            episodes_alarmed=state.alarmed + alarmed,
            worst_delay_s=None if worst is None else round(worst / state.fs_hz, 3),
        )

    def _reference(self, end: int) -> Record:
        """What the experts say up to a sample, as far as it is remembered."""
        return reference(
            [_BEGIN, *self._state.symbols[: _index(self._state.symbols, end)]],
            self._state.fs_hz,
            end,
        )

    # Beats and rhythm, from `beats_to` on.

    def _matrix(self, known: Record, end: int) -> dict[str, int]:
        """(reference, ours) counts up to `end`; nothing while there was no beat annotation."""
        state = self._state
        if not state.has_beats:
            return {}
        ours = Record(state.fs_hz, end, tuple(state.beats[: _index(state.beats, end)]))
        to_judge = tuple(b for b in known.beats if b.sample >= state.beats_to)
        return score_beats(Record(state.fs_hz, end, to_judge, known.rhythm), ours, 0.0).matrix

    def _agreement(self, end: int) -> tuple[int, int]:
        """Samples that both sides have a rhythm for, and those with the same."""
        state, both, same = self._state, 0, 0
        changes = [s for s in state.symbols[: _index(state.symbols, end)] if s.symbol == "+"]
        for theirs in reference([_BEGIN, *changes], state.fs_hz, end).rhythm:
            for start, (stop, label) in state.spans.items():
                n = min(theirs.end, stop, end) - max(theirs.start, start, state.beats_to)
                if n > 0 and label not in _UNKNOWN and theirs.label not in _UNKNOWN:
                    both += n
                    same += n if _group(label) == _group(theirs.label) else 0
        return both, same

    def _settle_beats(self, end: int) -> None:
        state = self._state
        # a topic that has come so far holds nothing from before any more
        complete = min(end, state.beats_at, state.notes_at)
        cut = self._cut(max(complete, end - round(PATIENCE_S * state.fs_hz)))
        if cut <= state.beats_to or not (
            state.has_beats or end - state.beats_to > PATIENCE_S * state.fs_hz
        ):
            return
        state.matrix = _sum(state.matrix, self._matrix(self._reference(cut), cut))
        rhythm_n, agreed_n = self._agreement(cut)
        state.rhythm_n += rhythm_n
        state.agreed_n += agreed_n
        self._forget(cut)

    def _cut(self, end: int) -> int:
        """The last sample that no pair of beats can straddle, whatever comes after `end`."""
        state, after, cut = self._state, end, end - self._window
        theirs = (s.sample for s in state.symbols[: _index(state.symbols, end)] if s.symbol in AAMI)
        for at in sorted(
            {*theirs, *(b.sample for b in state.beats[: _index(state.beats, end)])}, reverse=True
        ):
            if at >= cut:
                after = at
            elif after - at >= self._window:
                break
            else:
                cut = after = at
        return cut

    def _forget(self, cut: int) -> None:
        state = self._state
        state.beats_to = max(cut, state.beats_to)
        del state.beats[: _index(state.beats, cut)]
        state.spans = {start: span for start, span in state.spans.items() if span[0] > cut}

    # Episodes that must alarm, from `episodes_to` on.

    def _episodes(self, known: Record, end: int, now: int) -> tuple[int, int, int | None]:
        """Of those that end by `end`: how many, how many alarmed by `now`, and the worst delay in
        samples."""
        delays: list[int | None] = []
        for family in FAMILIES:
            for e in known.episodes(family.labels):
                if (
                    self._state.episodes_to <= e.start
                    and e.end <= end
                    and e.end - e.start >= family.least_s * self._state.fs_hz
                ):
                    delays.append(self._delay(e, family, now))
        found = [d for d in delays if d is not None]
        return len(delays), len(found), max(found, default=None)

    def _delay(self, e: Episode, family: Family, now: int) -> int | None:
        """From an episode's onset to its alarm; None without one."""
        calls = [
            c
            for c in self._state.calls.values()
            if c.kind in family.kinds and c.onset < e.end and (c.end is None or c.end > e.start)
        ]
        until = min(now, e.end + round(ALARM_WAIT_S * self._state.fs_hz))
        heard = [c.announced for c in calls if c.announced is not None and c.announced <= until]
        return max(0, min(heard) - e.start) if heard else None

    def _settle_episodes(self, known: Record, end: int) -> None:
        state = self._state
        to = end - round(PATIENCE_S * state.fs_hz)
        episodes_known = [e for family in FAMILIES for e in known.episodes(family.labels)]
        while inside := [e.start for e in episodes_known if e.start < to < e.end]:
            to = min(inside)
        if to <= state.episodes_to:
            return
        episodes, alarmed, worst = self._episodes(known, to, end)
        state.episodes += episodes
        state.alarmed += alarmed
        state.worst = max((w for w in (worst, state.worst) if w is not None), default=None)
        state.episodes_to = to

    def _prune(self) -> None:
        """Forget annotations and alarms that nothing will ask for; what was in force stays."""
        state = self._state
        to = min(state.beats_to, state.episodes_to)
        old = state.symbols[: (i := _index(state.symbols, state.beats_to))]
        rhythm = [s for s in old if s.sample < to and s.symbol == "+" and s.aux.startswith("(")][
            -1:
        ]
        flutter = [
            s
            for s in [s for s in old if s.sample < to and s.symbol in "[]"][-1:]
            if s.symbol == "["
        ]
        state.symbols[:i] = sorted(rhythm + flutter) + [
            s for s in old if s.sample >= to and s.symbol not in AAMI
        ]
        state.calls = {
            name: c
            for name, c in state.calls.items()
            if c.end is None or c.end >= state.episodes_to
        }


def start_of(message: Beat | Rhythm | Alarm) -> int:
    """Time of sample 0 of the stream that the message belongs to."""
    if isinstance(message, Beat):
        return message.time_ns - sample_offset_ns(message.sample, message.fs_hz)
    if isinstance(message, Rhythm):
        return message.start_ns - sample_offset_ns(message.start_sample, message.fs_hz)
    return message.onset_ns - sample_offset_ns(message.onset_sample, message.fs_hz)


def _group(label: str) -> str:
    """Rhythms as coarsely as they are compared."""
    if label in _SINUS:
        return "sinus"
    return "lethal" if label in LETHAL else "AF" if label == "AFIB" else "other"


def _sum(a: dict[str, int], b: dict[str, int]) -> dict[str, int]:
    return {key: a.get(key, 0) + b.get(key, 0) for key in a.keys() | b.keys()}


def _index(items: list[Symbol] | list[Mark], sample: int) -> int:
    """Where what lies at the sample or after it begins."""
    return bisect_left(items, sample, key=lambda item: item[0])


def _insert(items: list[T], item: T) -> bool:
    """Into its place, if it is not there already; whether it was not."""
    i = bisect_left(items, item)
    new = i == len(items) or items[i] != item
    if new:
        items.insert(i, item)
    return new
