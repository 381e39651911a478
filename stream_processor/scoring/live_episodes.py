"""Episodes of a running stream that must alarm, from `episodes_to` on: which did, and how late."""

from __future__ import annotations

from typing import NamedTuple

from ingest.messages import AlarmKind
from stream_processor.scoring.live_beats import PATIENCE_S
from stream_processor.scoring.live_state import LiveStreamState
from stream_processor.scoring.reference import FIBRILLATION, Episode, Record

ALARM_WAIT_S = 120.0  # an alarm announced later than this after an episode's end does not count


class Family(NamedTuple):
    """Reference rhythms that must alarm once they last `least_s`, and the kinds that count."""

    labels: frozenset[str]
    least_s: float
    kinds: frozenset[AlarmKind]


# experts differ on where VF ends and VT begins
_SHOCKABLE: frozenset[AlarmKind] = frozenset(
    {"ventricular_fibrillation", "ventricular_tachycardia"}
)
FAMILIES = (
    Family(FIBRILLATION, 10.0, _SHOCKABLE),
    Family(frozenset({"VT"}), 10.0, _SHOCKABLE),
    Family(frozenset({"ASYS"}), 10.0, frozenset({"asystole"})),
    Family(frozenset({"AFIB"}), 30.0, frozenset({"atrial_fibrillation"})),
)
ALARM_KINDS = frozenset[str]().union(*(family.kinds for family in FAMILIES))


def count_episodes(
    state: LiveStreamState, known: Record, end: int, now: int
) -> tuple[int, int, int | None]:
    """Count the episodes that end by `end`, and those that alarmed by `now`; with the longest delay
    in samples, None if none alarmed."""
    delays: list[int | None] = []
    for family in FAMILIES:
        for e in known.episodes(family.labels):
            if (
                state.episodes_to <= e.start
                and e.end <= end
                and e.end - e.start >= family.least_s * state.fs_hz
            ):
                delays.append(_delay(state, e, family, now))
    found = [d for d in delays if d is not None]
    return len(delays), len(found), max(found, default=None)


def _delay(state: LiveStreamState, e: Episode, family: Family, now: int) -> int | None:
    """Return the samples from an episode's onset to its alarm; None without an alarm."""
    calls = [
        c
        for c in state.calls.values()
        if c.kind in family.kinds and c.onset < e.end and (c.end is None or c.end > e.start)
    ]
    until = min(now, e.end + round(ALARM_WAIT_S * state.fs_hz))
    announced = [c.announced for c in calls if c.announced is not None and c.announced <= until]
    return max(0, min(announced) - e.start) if announced else None


def sum_final_episodes(state: LiveStreamState, known: Record, end: int) -> None:
    """Add the episodes older than PATIENCE_S to the sums; an episode that lasts until then waits."""
    to = end - round(PATIENCE_S * state.fs_hz)
    episodes_known = [e for family in FAMILIES for e in known.episodes(family.labels)]
    while inside := [e.start for e in episodes_known if e.start < to < e.end]:
        to = min(inside)
    if to <= state.episodes_to:
        return
    episodes, alarmed, worst = count_episodes(state, known, to, end)
    state.episodes += episodes
    state.alarmed += alarmed
    state.worst = max((w for w in (worst, state.worst) if w is not None), default=None)
    state.episodes_to = to
