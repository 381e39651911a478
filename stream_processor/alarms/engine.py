"""The life of alarms: raised when their condition begins to hold, announced unless held back, ended when it no longer holds."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from ingest.messages import AlarmKind
from models.conditioning import FS_HZ
from models.stage import Logic, Rows
from stream_processor.alarms.catalogue import CATALOGUE, worse
from stream_processor.alarms.profiles import ADULT, Profile
from stream_processor.alarms.rules import BEATS_KEPT, RULES, Condition, Facts
from stream_processor.stages.rhythm import Span
from stream_processor.stages.seconds import Beats, LabelledBeat, Second, is_lead_off
from stream_processor.stages.vitals import VitalSigns

NOT_AF_S = 30.0  # readable signal without AF that ends an episode


class Active(msgspec.Struct):
    """An alarm whose condition holds."""

    onset: float
    raised: float
    announced: bool
    value: float | None = None
    limit: float | None = None


class AlarmStep(NamedTuple):
    """Onset or end of an alarm of one row; positions are samples at 125 Hz."""

    row: int
    kind: AlarmKind
    alarm: Active
    end: float | None


class _State(msgspec.Struct):
    facts: Facts = msgspec.field(default_factory=Facts)
    active: dict[AlarmKind, Active] = {}
    announced: dict[AlarmKind, float] = {}  # when each kind was last announced


class AlarmEngine(Logic[_State]):
    """Stage: Beats, VitalSigns and Spans in, AlarmSteps out. Pure: the same input gives the same alarms with the same ids."""

    def __init__(self, profile: Profile = ADULT) -> None:
        super().__init__(_State)
        self._profile = profile

    def push(self, batch: tuple[list[Beats], list[VitalSigns], list[list[Span]]]) -> list[AlarmStep]:
        """Steps, in order per row, from what each second brought: beats, vitals and the rhythm it decided."""
        steps: list[AlarmStep] = []
        for item, signs, spans in zip(*batch, strict=True):
            steps += self._second(item, signs, spans)
        return steps

    def finish(self, row: int, spans: list[Span], end: int) -> list[AlarmStep]:
        """The stream has ended at this sample; the spans are the last of its rhythm. What still holds has no end."""
        f = self._state[row].facts
        for span in spans:
            self._take_span(f, span)
        return self._evaluate(row, float(end), end)

    def flush(self, rows: Rows) -> list[AlarmStep]:
        """Nothing is held back."""
        return []

    def restart(self, row: int, lost_from: float, sample: float) -> list[AlarmStep]:
        """Go on after a gap: the gap itself is an alarm; a silence that was going on is still going on."""
        state = self._state[row]
        f = state.facts
        f.beats, f.fibrillating, f.now = [], None, sample
        if "asystole" not in state.active:
            f.quiet = sample
        missing = Condition(lost_from, (sample - lost_from) / FS_HZ, 0.0)
        return [*self._raise(row, "gap", missing, sample), *self._end(row, "gap", sample)]

    def begin(self, row: int, sample: float) -> None:
        """The signal begins here."""
        self._state[row].facts.quiet = sample

    def signal_lost(self, row: int, last: float, now: float) -> list[AlarmStep]:
        """No chunk has come for too long; `last` is the end of the signal, `now` the moment by the stream's own timeline."""
        return self._raise(row, "no_signal", Condition(last, (now - last) / FS_HZ, self._profile.no_signal_s), now)

    def signal_back(self, row: int, now: float) -> list[AlarmStep]:
        """Chunks come again."""
        return self._end(row, "no_signal", now)

    def _second(self, item: Beats, signs: VitalSigns, spans: list[Span]) -> list[AlarmStep]:
        second, f = item.second, self._state[item.second.row].facts
        steps: list[AlarmStep] = []
        _take_signal(f, second)
        for span in spans:
            self._take_span(f, span)
        for beat in item.beats:  # a pause may begin and end within a second: look just before each beat, and at it
            steps += self._evaluate(second.row, beat.at, second.needed)
            _take_beat(f, beat, self._profile)
            steps += self._evaluate(second.row, beat.at, second.needed)
        f.hr, f.noisy_s = signs.hr_bpm, signs.noisy_s
        return steps + self._evaluate(second.row, second.until, second.needed)

    def _evaluate(self, row: int, now: float, needed: int) -> list[AlarmStep]:
        state = self._state[row]
        state.facts.now = now
        steps: list[AlarmStep] = []
        for kind, rule in RULES.items():
            answer = rule(state.facts, self._profile)
            if isinstance(answer, Condition):
                if kind not in state.active:
                    steps += self._raise(row, kind, answer, needed)
            elif answer is None and kind in state.active:
                steps += self._end(row, kind, _ended(kind, state.facts, now))
        return steps

    def _take_span(self, f: Facts, span: Span) -> None:
        """Follow AF episodes: less than 30 s without AF, and what is unreadable, do not end one that has been alarmed."""
        if span.label == "AFIB":
            if f.af is None:
                f.af = span.start
            f.af_until, f.not_af = span.end, 0.0
        elif span.label != "~" and f.af is not None:
            f.not_af += span.end - span.start
            alarmed = f.af_until - f.af >= self._profile.af_s * FS_HZ
            if not alarmed or f.not_af >= NOT_AF_S * FS_HZ:
                f.af = None

    def _raise(self, row: int, kind: AlarmKind, condition: Condition, raised: float) -> list[AlarmStep]:
        state = self._state[row]
        if kind in state.active:
            return []
        announced = not any(k in state.active for k in worse(kind)) and not self._in_refractory(state, kind, raised)
        if announced:
            state.announced[kind] = raised
        state.active[kind] = Active(condition.onset, raised, announced, condition.value, condition.limit)
        return [AlarmStep(row, kind, state.active[kind], None)]

    def _in_refractory(self, state: _State, kind: AlarmKind, raised: float) -> bool:
        before = state.announced.get(kind)
        return CATALOGUE[kind].priority != "high" and before is not None and raised - before < self._profile.refractory_s * FS_HZ

    def _end(self, row: int, kind: AlarmKind, at: float) -> list[AlarmStep]:
        alarm = self._state[row].active.pop(kind, None)
        return [] if alarm is None else [AlarmStep(row, kind, alarm, max(at, alarm.onset))]


def _take_signal(f: Facts, second: Second) -> None:
    """Follow lead-off and fibrillation; after either, beats and silence are counted anew."""
    start, off, shaking = second.until - FS_HZ, is_lead_off(second), second.fibrillation >= 0.5
    if off and f.lead_off is None:
        f.lead_off = start if second.lead_off else second.needed - second.still_s * FS_HZ
    if shaking and f.fibrillating is None:
        f.fibrillating = start
    if (f.lead_off is not None and not off) or (f.fibrillating is not None and not shaking):
        f.quiet = max(f.quiet, float(start if f.lead_off is None else second.until))
    if second.unsure:
        f.unsure = float(second.until)
    if off or shaking:
        f.beats = []
    f.lead_off = f.lead_off if off else None
    f.fibrillating = f.fibrillating if shaking else None


def _take_beat(f: Facts, beat: LabelledBeat, profile: Profile) -> None:
    """A beat; after an asystole, which has an alarm of its own, rates are counted anew."""
    kept = f.beats[-BEATS_KEPT + 1 :] if beat.at - f.quiet < profile.asystole_s * FS_HZ else []
    f.quiet, f.beats = beat.at, [*kept, (beat.at, beat.label)]


def _ended(kind: AlarmKind, f: Facts, now: float) -> float:
    """Where the condition stopped: known later than it happened for rhythm, at once for the others."""
    return f.af_until if kind == "atrial_fibrillation" else now
