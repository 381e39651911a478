"""Alarm conditions over time: raised when they begin to hold, announced unless suppressed, ended
when they no longer hold.

What people do about alarms, and what stays after the end, is in lifecycle.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

import msgspec

from ingest.messages import AlarmKind
from models.signal.conditioning import FS_HZ
from models.signal.stage import Rows, StructStage
from stream_processor.pipeline.alarms import transient_alarms
from stream_processor.pipeline.alarms.catalogue import (
    AT_A_BEAT,
    BEFORE_A_BEAT,
    CATALOGUE,
    EVERY_SECOND,
    words,
    worse,
)
from stream_processor.pipeline.alarms.facts import (
    Facts,
    restart,
    take_beat,
    take_moment,
    take_signal,
    take_span,
)
from stream_processor.pipeline.alarms.profiles import ADULT, Profile
from stream_processor.pipeline.alarms.rules import Condition
from stream_processor.pipeline.stages.episodes import Span
from stream_processor.pipeline.stages.seconds import Beats
from stream_processor.pipeline.stages.vitals import VitalSigns

SHOWN = 10 * FS_HZ  # how long the alarm of an event stands
UPDATE = 5 * FS_HZ  # shortest time between two updates of an alarm's value


class Active(msgspec.Struct, frozen=True):
    """An alarm whose condition holds, or that stands because something happened. Positions are
    samples at 125 Hz."""

    onset: float
    raised: float
    announced: bool
    refractory: bool  # its kind was announced less than the refractory time before
    reported: float  # when its value was last reported
    value: float | None = None
    limit: float | None = None
    happened: float | None = None  # end of what happened; None for a condition
    detail: str = ""


class AlarmStep(NamedTuple):
    """A step of an alarm of one row, as it was then."""

    row: int
    kind: AlarmKind
    step: Literal["onset", "update", "end"]
    alarm: Active
    at: float  # known by then
    end: float | None = None


class _State(msgspec.Struct):
    facts: Facts = msgspec.field(default_factory=Facts)
    active: dict[AlarmKind, Active] = {}
    announced: dict[AlarmKind, float] = {}  # when each kind was last announced


class AlarmEngine(StructStage[_State]):
    """Stage: Beats, VitalSigns and Spans in, alarm steps out. Pure: the same input gives the same
    alarms with the same ids."""

    def __init__(self) -> None:
        super().__init__(_State)
        self._profile: dict[int, Profile] = {}

    def push(
        self, batch: tuple[list[Beats], list[VitalSigns], list[list[Span]]]
    ) -> list[AlarmStep]:
        """Return the alarm steps, in order per row, from each second's beats, vitals and decided
        rhythm."""
        steps: list[AlarmStep] = []
        for item, signs, spans in zip(*batch, strict=True):
            steps += self._second(item, signs, spans)
        return steps

    def close(self, row: int) -> None:
        """Close the row, so that another stream may get it."""
        super().close(row)
        self._profile.pop(row, None)

    def set_profile(self, row: int, profile: Profile) -> None:
        """Apply these thresholds to the row from now on; until then the adult ones hold."""
        self._profile[row] = profile

    def finish(self, row: int, spans: list[Span], end: int) -> list[AlarmStep]:
        """End the stream at this sample; the spans are the last of its rhythm. Alarms that still
        hold get no end."""
        for span in spans:
            take_span(self._state[row].facts, span, self._limits(row))
        return self._at_the_end_of(row, float(end), end)

    def flush(self, rows: Rows) -> list[AlarmStep]:
        """Return nothing: `push` leaves no output pending."""
        return []

    def restart(self, row: int, sample: int) -> int:
        """Restart after a gap; a silence in progress continues."""
        state = self._state[row]
        restart(state.facts, float(sample))
        return sample

    def gap(self, row: int, lost_from: float, sample: float) -> list[AlarmStep]:
        """Raise the alarm for a gap: the samples from `lost_from` up to `sample` are missing."""
        length_s = (sample - lost_from) / FS_HZ
        return self._happens(row, "gap", Condition(lost_from, length_s, 0.0, sample), sample)

    def device(self, row: int, battery: float | None, fault: str) -> None:
        """Take the device's own faults, sent with the signal that follows."""
        facts = self._state[row].facts
        facts.battery, facts.fault = battery, fault

    def restarted(self, row: int, sample: float) -> list[AlarmStep]:
        """Raise the alarm for a device that has begun its stream anew at this point."""
        return self._happens(row, "restart", Condition(sample, end=sample), sample)

    def refused(self, row: int, sample: float, detail: str) -> None:
        """Take note that a second sender was refused; `detail` names both senders."""
        facts = self._state[row].facts
        facts.refused, facts.refused_at = detail, sample

    def signal_lost(self, row: int, last: float, now: float) -> list[AlarmStep]:
        """Raise the no-signal alarm; `last` is the end of the signal, `now` the moment on the
        stream's own timeline."""
        steps = self._raise(
            row,
            "no_signal",
            Condition(last, (now - last) / FS_HZ, self._limits(row).no_signal_s),
            now,
        )
        return steps + self._settle(row, now)

    def signal_back(self, row: int, now: float) -> list[AlarmStep]:
        """End the no-signal alarm: chunks arrive again."""
        return self._end(row, "no_signal", now, now)

    def _limits(self, row: int) -> Profile:
        return self._profile.get(row, ADULT)

    def _second(self, item: Beats, signs: VitalSigns, spans: list[Span]) -> list[AlarmStep]:
        row, second = item.second.row, item.second
        f, profile = self._state[row].facts, self._limits(row)
        steps: list[AlarmStep] = []
        take_signal(f, second, item.facts.before)
        for span in spans:
            take_span(f, span, profile)
        # a pause may begin and end within a second: look just before each beat, and at it
        for beat, signal in zip(item.beats, item.facts.beats, strict=True):
            steps += self._evaluate(row, beat.at, second.needed, BEFORE_A_BEAT)
            for kind, what in transient_alarms.on_beat(f, beat, profile):
                steps += self._happens(row, kind, what, second.needed)
            take_beat(f, beat, signal)
            ends = [k for k in self._state[row].active if CATALOGUE[k].ends_with_beat]
            steps += self._evaluate(
                row, beat.at, second.needed, (*BEFORE_A_BEAT, *ends, *AT_A_BEAT)
            )
        if f.run and not item.facts.after.run:
            for kind, what in transient_alarms.run_ended(f, second.until, profile):
                steps += self._happens(row, kind, what, second.needed)
            f.run = []
        take_moment(f, item.facts.after)
        f.hr, f.noisy_s = signs.hr_bpm, signs.noisy_s
        return steps + self._at_the_end_of(row, second.until, second.needed)

    def _at_the_end_of(self, row: int, now: float, needed: int) -> list[AlarmStep]:
        """Evaluate at the end of a second or of the signal: also alarms evaluated at beats, if they
        are active; end alarms of events that have stood long enough."""
        active = self._state[row].active
        steps = self._evaluate(
            row, now, needed, (*EVERY_SECOND, *(kind for kind in AT_A_BEAT if kind in active))
        )
        for kind in [
            k for k, a in active.items() if a.happened is not None and needed - a.raised >= SHOWN
        ]:
            steps += self._end(row, kind, active[kind].happened or now, needed)
        return steps + self._settle(row, needed)

    def _evaluate(
        self, row: int, now: float, needed: int, kinds: Iterable[AlarmKind]
    ) -> list[AlarmStep]:
        state, profile = self._state[row], self._limits(row)
        facts, active, steps = state.facts, state.active, list[AlarmStep]()
        facts.now = now
        for kind in kinds:
            holding = kind in active
            rule = CATALOGUE[kind].rule
            answer = rule(facts, profile, holding) if rule and kind not in profile.off else None
            if answer is None:
                if holding:
                    steps += self._end(row, kind, _ended(kind, facts, now), needed)
            elif isinstance(answer, Condition):
                steps += (
                    self._update_value(row, kind, answer, needed)
                    if holding
                    else self._raise(row, kind, answer, needed)
                )
        return steps + self._settle(row, needed) if steps else steps

    def _happens(
        self, row: int, kind: AlarmKind, what: Condition, needed: float
    ) -> list[AlarmStep]:
        """Raise the alarm of an event; end an earlier one of its kind that still stands."""
        if kind in self._limits(row).off:
            return []
        before = self._state[row].active.get(kind)
        steps = [] if before is None else self._end(row, kind, before.happened or needed, needed)
        return steps + self._raise(row, kind, what, needed) + self._settle(row, needed)

    def _raise(self, row: int, kind: AlarmKind, c: Condition, raised: float) -> list[AlarmStep]:
        state = self._state[row]
        if kind in state.active:
            return []
        before = state.announced.get(kind)
        refractory = CATALOGUE[kind].priority != "high" and before is not None
        refractory = (
            refractory and raised - (before or 0.0) < self._limits(row).refractory_s * FS_HZ
        )
        announced = not refractory and not any(k in state.active for k in worse(kind))
        if announced:
            state.announced[kind] = raised
        state.active[kind] = alarm = Active(
            c.onset, raised, announced, refractory, raised, c.value, c.limit, c.end, c.detail
        )
        return [AlarmStep(row, kind, "onset", alarm, raised)]

    def _update_value(
        self, row: int, kind: AlarmKind, c: Condition, needed: float
    ) -> list[AlarmStep]:
        """Emit an update when the displayed value changes; suppressed alarms get none."""
        alarm = self._state[row].active[kind]
        before, now = (words(kind, one.value, one.limit, one.detail) for one in (alarm, c))
        if not alarm.announced or needed - alarm.reported < UPDATE or before == now:
            return []
        if _back_inside(alarm, c):  # held by its margin: the value reported beyond the limit stays
            return []
        return self._update(
            row,
            kind,
            msgspec.structs.replace(
                alarm, value=c.value, limit=c.limit, detail=c.detail, reported=needed
            ),
            needed,
        )

    def _settle(self, row: int, needed: float) -> list[AlarmStep]:
        """Announce only the worst active alarm of each chain."""
        state, steps = self._state[row], list[AlarmStep]()
        for kind, alarm in list(state.active.items()):
            announced = not alarm.refractory and not any(k in state.active for k in worse(kind))
            if announced != alarm.announced:
                if announced:
                    state.announced[kind] = needed
                steps += self._update(
                    row, kind, msgspec.structs.replace(alarm, announced=announced), needed
                )
        return steps

    def _update(self, row: int, kind: AlarmKind, alarm: Active, needed: float) -> list[AlarmStep]:
        self._state[row].active[kind] = alarm
        return [AlarmStep(row, kind, "update", alarm, needed)]

    def _end(self, row: int, kind: AlarmKind, end: float, needed: float) -> list[AlarmStep]:
        alarm = self._state[row].active.pop(kind, None)
        if alarm is None:
            return []
        steps = [AlarmStep(row, kind, "end", alarm, needed, max(end, alarm.onset))]
        if (what := CATALOGUE[kind].announces_end) is not None:
            steps += self._happens(row, what, Condition(end, None, None, end), needed)
        return steps


def _back_inside(alarm: Active, c: Condition) -> bool:
    """Whether the value was beyond its limit when last reported, and no longer is."""
    if None in (alarm.value, alarm.limit, c.value, c.limit):
        return False
    before, now = (alarm.value or 0) - (alarm.limit or 0), (c.value or 0) - (c.limit or 0)
    return before * now <= 0 and before != 0


def _ended(kind: AlarmKind, f: Facts, now: float) -> float:
    """Return the sample at which the condition ended: for AF the end of the rhythm, else now."""
    return f.af_until if kind == "atrial_fibrillation" else now
