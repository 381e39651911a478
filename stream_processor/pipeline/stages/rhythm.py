"""Rhythm: from the network's answers on 30 s each and the beats to a label for every sample.

The signal is cut into segments of 5 s. A segment's base label (rhythm_names.py) is that of the
answers and beats in whose middle it lies, so it is decided 15 s after its end; it changes when three
segments in a row agree. What the beats show is exact in time and goes on top: unreadable signal,
asystole, fibrillation, runs and patterns of beats.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import msgspec

from ingest.messages import RhythmLabel
from models.beats.decoding import THRESHOLD
from models.signal.conditioning import FS_HZ
from models.signal.stage import Rows, StructStage
from stream_processor.pipeline.stages.beat_patterns import BeatPatterns
from stream_processor.pipeline.stages.episodes import Span
from stream_processor.pipeline.stages.rhythm_names import (
    CLASSES,
    NamedRhythm,
    RhythmBeat,
    is_within,
    name_rhythm,
)
from stream_processor.pipeline.stages.seconds import Beats, Moment, Wave
from stream_processor.pipeline.stages.tasks.sequences import TaskAnswer

SEGMENT = 5 * FS_HZ  # the hop of the rhythm task
SEGMENTS = 6  # that an answer looks back on
DELAY = 15 * FS_HZ  # signal after its end for which a segment waits
ASYSTOLE_S = 4.0
FIBRILLATION = 4 * FS_HZ
VT_BEATS, VT_RR = 3, 0.6  # EC57's shortest run, at more than 100/min
AROUND = 10 * FS_HZ  # beats that count for a segment: from before it, and DELAY after it
AGREE = 3  # segments in a row that change the rhythm's name
BRIDGED = 8 * FS_HZ  # a pattern that is interrupted for less goes on
MERGED: tuple[RhythmLabel, ...] = ("B", "T", "SVTA")
OFF, STARTING = "lead off", "starting"


class _State(msgspec.Struct):
    windows: list[tuple[int, int, tuple[float, ...]]] = []  # (k, needed, probability), oldest first
    decided: int = 0  # everything before this sample has its label
    signal: Moment = Moment()  # as the newest second left it
    run: list[float] = []  # R peaks of the fast run of V beats that is going on
    spans: list[tuple[int, int, RhythmLabel]] = []  # what the beats show, not yet decided
    patterns: BeatPatterns = msgspec.field(default_factory=BeatPatterns)
    beats: list[RhythmBeat] = []  # that may count for segments to come
    name: NamedRhythm = NamedRhythm("~", 1.0, STARTING)  # of the newest segment
    candidate: str = ""  # another label, that of the newest segments
    agreeing: int = 0  # of those in a row
    full: int = 0  # windows of 30 s so far
    sums: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0)  # of their probabilities


class RhythmTracker(StructStage[_State]):
    """Stage: the network's answers and the beats in, Spans out: contiguous, in order, each sample
    once."""

    def __init__(self) -> None:
        super().__init__(_State)

    def push(self, batch: tuple[list[Beats], list[TaskAnswer]]) -> list[list[Span]]:
        """Return, for each Beats, the spans that it decides. An answer counts from the first second
        whose signal reaches as far as the answer's."""
        beats, answers = batch
        for answer in answers:
            _take_answer(self._state[answer.row], answer)
        return [self._second(item) for item in beats]

    def flush(self, rows: Rows) -> list[list[Span]]:
        """Return nothing: only `finish` knows the end of the stream."""
        return []

    def overall(self, row: int) -> tuple[RhythmLabel, float]:
        """The label of the stream as a whole, from all windows of 30 s, or from the last window of
        a shorter one."""
        state = self._state[row]
        sums = (
            state.sums
            if state.full
            else state.windows[-1][2]
            if state.windows
            else (0.0, 0.0, 0.0, 1.0)
        )
        best = max(range(len(CLASSES)), key=sums.__getitem__)
        return CLASSES[best], sums[best] / max(1, state.full)

    def _second(self, item: Beats) -> list[Span]:
        state, needed = self._state[item.second.row], item.second.needed
        _observe(state, item)
        spans: list[Span] = []
        while (end := (state.decided // SEGMENT + 1) * SEGMENT) + DELAY <= needed:
            spans += _decide(item.second.row, state, end, needed)
        return spans

    def finish(self, row: int, end: int) -> list[Span]:
        """Spans for all that is pending up to the signal's end."""
        state = self._state[row]
        _close_open_spans(state, end)
        spans: list[Span] = []
        while state.decided < end:
            spans += _decide(row, state, min(end, (state.decided // SEGMENT + 1) * SEGMENT), end)
        return spans

    def restart(self, row: int, sample: int) -> int:
        """Restart after a gap with an empty state."""
        self._state[row] = _State(decided=sample, signal=Moment(quiet=float(sample)))
        return sample


def _take_answer(state: _State, answer: TaskAnswer) -> None:
    state.windows.append((answer.k, answer.needed, answer.probability))
    if answer.k + 1 >= SEGMENTS:
        state.full += 1
        state.sums = tuple(a + b for a, b in zip(state.sums, answer.probability, strict=True))


def _observe(state: _State, item: Beats) -> None:
    """Take note of what the second's beats and signal show."""
    second, facts = item.second, item.facts
    _note(state, facts.before, second.until - FS_HZ)
    for beat, moment in zip(item.beats, facts.beats, strict=True):
        _end_of_quiet(state, beat.at)
        sure = beat.confidence >= THRESHOLD
        state.beats.append(RhythmBeat(beat.at, beat.rr_s, beat.label, sure))
        for start, end, label in state.patterns.take(beat):
            _add_pattern(state, int(start), int(end) + 1, label)
        if beat.label == "V" and (not state.run or beat.at - state.run[-1] < VT_RR * FS_HZ):
            state.run.append(beat.at)
        else:
            _end_of_run(state)
            state.run = [beat.at] if beat.label == "V" else []
        _note(state, moment, beat.at)
    if state.run and second.until - state.run[-1] >= VT_RR * FS_HZ:
        _end_of_run(state)
    if facts.after.lead_off is not None or facts.after.wave is not None:
        for start, end, label in state.patterns.stop():
            _add_pattern(state, int(start), int(end) + 1, label)
    _note(state, facts.after, second.until)


def _note(state: _State, now: Moment, at: float) -> None:
    """Close the spans of what held and holds no longer."""
    old = state.signal
    if old.lead_off is not None and now.lead_off is None:
        state.spans.append((int(old.lead_off), int(at), "~"))
    if old.tachycardia and not now.tachycardia:
        state.spans.append((int(old.tachycardia_since), int(old.tachycardia[-1]) + 1, "VT"))
    if old.wave is not None and (now.wave is None or now.wave.kind != old.wave.kind):
        _end_of_wave(state, old.wave, now.quiet if now.quiet > old.wave.since else at)
    state.signal = now


def _add_pattern(state: _State, start: int, end: int, label: RhythmLabel) -> None:
    """Add what a pattern of beats covers; one of its kind shortly before it is the same one."""
    if label in MERGED:
        near = [s for s in state.spans if s[2] == label and start - s[1] <= BRIDGED]
        if near:
            state.spans.remove(near[-1])
            start = min(start, near[-1][0])
    state.spans.append((start, end, label))


def _end_of_quiet(state: _State, at: float) -> None:
    if state.signal.silence_s(at) >= ASYSTOLE_S:
        state.spans.append((int(state.signal.quiet), int(at), "ASYS"))


def _end_of_run(state: _State) -> None:
    if len(state.run) >= VT_BEATS:
        state.spans.append((int(state.run[0]), int(state.run[-1]) + 1, "VT"))
    state.run = []


def _end_of_wave(state: _State, wave: Wave, end: float) -> None:
    if end - wave.since >= FIBRILLATION:
        state.spans.append((int(wave.since), int(end), wave.kind))


def _close_open_spans(state: _State, end: int) -> None:
    state.spans += _open_spans(state, end)
    _end_of_run(state)
    state.signal = Moment(quiet=float(end))


def _open_spans(state: _State, end: int) -> list[tuple[int, int, RhythmLabel]]:
    """Return the spans still in progress that are long enough to count."""
    found: list[tuple[int, int, RhythmLabel]] = []
    now = state.signal
    if now.lead_off is not None:
        found.append((int(now.lead_off), end, "~"))
    elif now.silence_s(end) >= ASYSTOLE_S:
        found.append((int(now.quiet), end, "ASYS"))
    if now.tachycardia:
        found.append((int(now.tachycardia_since), end, "VT"))
    elif len(state.run) >= VT_BEATS:
        found.append((int(state.run[0]), end, "VT"))
    if now.wave is not None and end - now.wave.since >= FIBRILLATION:
        found.append((int(now.wave.since), end, now.wave.kind))
    for start, last, label in state.patterns.open():
        bridged = [s[1] for s in state.spans if s[2] == label and start - s[1] <= BRIDGED]
        first = bridged[-1] if bridged and label in MERGED else int(start)
        found.append((first, int(last) + 1, label))
    return found


# where spans overlap, the first of these holds
WORST: tuple[RhythmLabel, ...] = ("VF", "VT", "~", "ASYS", "IVR", "SVTA", "B", "T", "PAUSE")


def _decide(row: int, state: _State, end: int, known: int) -> list[Span]:
    """Label everything from `decided` to `end`, which lie in one segment."""
    start = state.decided
    near = [b for b in state.beats if start - AROUND <= b.at < end + DELAY]
    base = _base(state, near, start, known)
    overlays = [s for s in state.spans + _open_spans(state, known) if s[0] < end and s[1] > start]
    overlays = [s for s in overlays if not is_within(base, near, *s)]
    edges = sorted({start, end, *(min(max(e, start), end) for s in overlays for e in s[:2])})
    pieces: list[Span] = []
    for a, b in itertools.pairwise(edges):
        covering = [s[2] for s in overlays if s[0] <= a and s[1] >= b]
        worst = min(covering, key=WORST.index, default=None)
        rhythm = base if worst is None else NamedRhythm(worst, 1.0, OFF if worst == "~" else "")
        pieces.append(Span(row, a, b, *rhythm))
    state.decided = end
    state.spans = [s for s in state.spans if s[1] > end - BRIDGED]
    state.windows = [w for w in state.windows[:-1] if w[0] > end // SEGMENT] + state.windows[-1:]
    state.beats = [b for b in state.beats if b.at >= end - AROUND]
    return pieces


def _base(state: _State, near: Sequence[RhythmBeat], start: int, known: int) -> NamedRhythm:
    """Name the rhythm of a segment; the name changes when AGREE segments in a row agree. AF is a question of
    its own: it comes at once, by the evidence of network and beats, and goes when AGREE segments
    lack it, whichever names they have instead."""
    mean = _mean(state, start // SEGMENT, known)
    found = (
        NamedRhythm("~", 1.0, STARTING)
        if mean is None
        else name_rhythm(near, mean, state.name.label)
    )
    lacked = state.name.label == "AFIB" and "AFIB" not in (found.label, state.candidate)
    state.agreeing = state.agreeing + 1 if lacked or found.label == state.candidate else 1
    state.candidate = found.label
    holds = found.label == state.name.label or state.name.label == "~"
    if holds or found.label == "AFIB" or state.agreeing >= AGREE:
        state.name = found
    return state.name


def _mean(state: _State, segment: int, known: int) -> list[float] | None:
    """The probabilities of a segment from the windows that end 15 and 20 s after its start, or from
    the nearest there is."""
    windows = [w for w in state.windows if w[1] <= known]
    if not windows:
        return None
    wanted = [p for k, _, p in windows if segment + 2 <= k <= segment + 3]
    chosen = wanted or [min(windows, key=lambda w: abs(w[0] - segment - 2))[2]]
    return [sum(column) / len(chosen) for column in zip(*chosen, strict=True)]
