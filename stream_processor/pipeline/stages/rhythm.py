"""Rhythm: from the network's answers on 30 s each and the beats to a label for every sample.

The signal is cut into segments of 5 s. A segment's base label is that of the answers in whose
middle it lies, so it is decided 15 s after its end. What the beats show is exact in time and goes
on top: unreadable signal, asystole, runs of ventricular beats, fibrillation.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import msgspec

from ingest.messages import RhythmLabel
from models.signal.conditioning import FS_HZ
from models.signal.stage import Rows, StructStage
from stream_processor.pipeline.stages.seconds import Beats, Fibrillation, is_lead_off, silence_s
from stream_processor.pipeline.stages.sequences import Answer

SEGMENT = 5 * FS_HZ  # the hop of the rhythm task
SEGMENTS = 6  # that an answer looks back on
DELAY = 15 * FS_HZ  # a segment waits for so much signal after its end
ASYSTOLE_S = 4.0
FIBRILLATION = 4 * FS_HZ
VT_BEATS, VT_RR = 3, 0.6  # EC57's shortest run, at more than 100/min
CLASSES: tuple[RhythmLabel, ...] = ("N", "AFIB", "O", "~")  # CinC 2017: N, A, O, ~
AF, UNREADABLE = CLASSES.index("AFIB"), CLASSES.index("~")
# A segment is AF from this probability on, unless it is unreadable: there sensitivity and
# specificity for AF of CinC 2017's validation records add up to their most. The stream as a whole
# is what is likeliest.
AF_FROM = 0.15


class Span(NamedTuple):
    """A stretch of one rhythm, in samples at 125 Hz. Neighbours may have the same label."""

    row: int
    start: int
    end: int
    label: RhythmLabel
    probability: float


class _State(msgspec.Struct):
    windows: list[tuple[int, int, tuple[float, ...]]] = []  # (k, needed, probability), oldest first
    decided: int = 0  # everything before this sample has its label
    last: float | None = None  # newest R peak
    run: list[float] = []  # R peaks of the run of V beats that is going on
    quiet: float = 0.0  # since when no QRS: the newest R peak, or where the signal began
    unsure: float = 0.0  # end of the newest second without QRS that was no silence either
    wave: Fibrillation = msgspec.field(default_factory=Fibrillation)
    off: int | None = None  # since when lead off
    spans: list[tuple[int, int, RhythmLabel]] = []  # what the beats show, not yet decided
    full: int = 0  # windows of 30 s so far
    sums: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0)  # of their probabilities


class _Episode(msgspec.Struct):
    start: int = 0
    label: str = ""
    weight: float = 0.0  # probability times samples


class RhythmTracker(StructStage[_State]):
    """Stage: the network's answers and the beats in, Spans out: contiguous, in order, each sample
    once."""

    def __init__(self) -> None:
        super().__init__(_State)

    def push(self, batch: tuple[list[Beats], list[Answer]]) -> list[list[Span]]:
        """For each Beats the spans it decides. An answer counts from the second on whose signal
        reaches as far as the answer's."""
        beats, answers = batch
        for answer in answers:
            _take_answer(self._state[answer.row], answer)
        return [self._second(item) for item in beats]

    def flush(self, rows: Rows) -> list[list[Span]]:
        """Nothing is known of the end here; see `finish`."""
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
        """Go on after a gap: everything starts anew."""
        self._state[row] = _State(decided=sample, quiet=float(sample))
        return sample


def lost(row: int, start: int, end: int) -> list[Span]:
    """The rhythm of samples that never came: unreadable."""
    return [Span(row, start, end, "~", 1.0)] if start < end else []


class EpisodeJoiner(StructStage[_Episode]):
    """Stage: Spans in, Episodes out: each span as the end, so far, of the episode it belongs to."""

    def __init__(self) -> None:
        super().__init__(_Episode)

    def push(self, batch: list[Span]) -> list[Span]:
        """One episode so far per span."""
        return [self._join(span) for span in batch]

    def flush(self, rows: Rows) -> list[Span]:
        """Nothing is held back."""
        return []

    def _join(self, span: Span) -> Span:
        state, length = self._state[span.row], span.end - span.start
        if state.label != span.label:
            state.label, state.start, state.weight = span.label, span.start, 0.0
        state.weight += span.probability * length
        return Span(
            span.row, state.start, span.end, span.label, state.weight / (span.end - state.start)
        )


def _take_answer(state: _State, answer: Answer) -> None:
    state.windows.append((answer.k, answer.needed, answer.probability))
    if answer.k + 1 >= SEGMENTS:
        state.full += 1
        state.sums = tuple(a + b for a, b in zip(state.sums, answer.probability, strict=True))


def _observe(state: _State, item: Beats) -> None:
    """Take note of what the second's beats and signal show."""
    second = item.second
    off = is_lead_off(second)
    if off and state.off is None:
        state.off = (
            second.until - FS_HZ if second.lead_off else int(second.needed - second.still_s * FS_HZ)
        )
    if not off and state.off is not None:
        state.spans.append((state.off, second.until, "~"))
        state.off, state.quiet = None, float(second.until)
    if second.unsure:
        state.unsure = float(second.until)
    for beat in item.beats:
        _end_of_quiet(state, beat.at)
        if beat.label == "V" and (not state.run or beat.at - state.run[-1] < VT_RR * FS_HZ):
            state.run.append(beat.at)
        else:
            _end_of_run(state)
            state.run = [beat.at] if beat.label == "V" else []
        state.last = state.quiet = beat.at
    if state.run and second.until - state.run[-1] >= VT_RR * FS_HZ:
        _end_of_run(state)
    before = state.wave.since
    state.wave.take(second)
    if state.wave.since is not None:  # and so no silence
        state.quiet = max(state.quiet, float(second.until))
    elif before is not None:
        _end_of_fibrillation(state, before, second.until - FS_HZ)


def _end_of_quiet(state: _State, at: float) -> None:
    if silence_s(at, state.quiet, state.unsure) >= ASYSTOLE_S and state.off is None:
        state.spans.append((int(state.quiet), int(at), "ASYS"))


def _end_of_run(state: _State) -> None:
    if len(state.run) >= VT_BEATS:
        state.spans.append((int(state.run[0]), int(state.run[-1]) + 1, "VT"))
    state.run = []


def _end_of_fibrillation(state: _State, since: int, end: int) -> None:
    if end - since >= FIBRILLATION:
        state.spans.append((since, end, "VF"))


def _close_open_spans(state: _State, end: int) -> None:
    if state.off is not None:
        state.spans.append((state.off, end, "~"))
    else:
        _end_of_quiet(state, end)
    _end_of_run(state)
    if state.wave.since is not None:
        _end_of_fibrillation(state, state.wave.since, end)
        state.wave = Fibrillation()


def _open_spans(state: _State, end: int) -> list[tuple[int, int, RhythmLabel]]:
    """What is still going on, long enough to count."""
    found: list[tuple[int, int, RhythmLabel]] = []
    if state.off is not None:
        found.append((state.off, end, "~"))
    elif silence_s(end, state.quiet, state.unsure) >= ASYSTOLE_S:
        found.append((int(state.quiet), end, "ASYS"))
    if len(state.run) >= VT_BEATS:
        found.append((int(state.run[0]), end, "VT"))
    if state.wave.since is not None and end - state.wave.since >= FIBRILLATION:
        found.append((state.wave.since, end, "VF"))
    return found


# where spans overlap, the first of these holds
WORST: tuple[RhythmLabel, ...] = ("VF", "VT", "~", "ASYS")


def _decide(row: int, state: _State, end: int, known: int) -> list[Span]:
    """Label everything from `decided` to `end`, which lie in one segment."""
    start = state.decided
    label, probability = _base(state, start // SEGMENT, known)
    overlays = [s for s in state.spans + _open_spans(state, known) if s[0] < end and s[1] > start]
    edges = sorted({start, end, *(min(max(e, start), end) for s in overlays for e in s[:2])})
    pieces: list[Span] = []
    for a, b in itertools.pairwise(edges):
        covering = [s[2] for s in overlays if s[0] <= a and s[1] >= b]
        worst = min(covering, key=WORST.index, default=None)
        pieces.append(Span(row, a, b, worst or label, 1.0 if worst else probability))
    state.decided = end
    state.spans = [s for s in state.spans if s[1] > end]
    state.windows = [w for w in state.windows[:-1] if w[0] > end // SEGMENT] + state.windows[-1:]
    return pieces


def _base(state: _State, segment: int, known: int) -> tuple[RhythmLabel, float]:
    """The label of a segment from the windows that end 15 and 20 s after its start, or from the
    nearest there is."""
    windows = [w for w in state.windows if w[1] <= known]
    if not windows:
        return "~", 1.0
    wanted = [p for k, _, p in windows if segment + 2 <= k <= segment + 3]
    chosen = wanted or [min(windows, key=lambda w: abs(w[0] - segment - 2))[2]]
    mean = [sum(column) / len(chosen) for column in zip(*chosen, strict=True)]
    best = max(range(len(CLASSES)), key=mean.__getitem__)
    best = AF if mean[AF] >= AF_FROM and best != UNREADABLE else best
    return CLASSES[best], mean[best]
