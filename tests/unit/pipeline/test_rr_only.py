"""What the processor says of a heart rate strap, and what it never says."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from ecgwatch.annotate import new_ward
from ingest.clock import ManualClock
from ingest.gateway.base import RateBlock
from ingest.messages import Action, Alarm, Beat, Event, Rhythm, SampleChunk, Strip, Vitals, Waveform
from models.serving import runtime
from stream_processor.pipeline.ward import Ward
from tests.gateway.pulses import bound, irregular, notifications, sent, sinus
from tests.gateway.signals import START_NS


def of_blocks(blocks: Iterable[RateBlock]) -> list[Event]:
    """All that the ward says of the notifications."""
    return of_chunks(bound(sent(blocks)))


def of_chunks(chunks: list[SampleChunk], ward: Ward | None = None) -> list[Event]:
    ward = ward or new_ward()
    return [event for chunk in chunks for event in ward.push([chunk])] + ward.flush("p")


def of_rr(rr_s: list[float]) -> list[Event]:
    return of_blocks(notifications(rr_s, jitter_s=0.0))


def onsets(events: list[Event]) -> list[Alarm]:
    return [e for e in events if isinstance(e, Alarm) and e.step == "onset"]


def vitals(events: list[Event]) -> list[Vitals]:
    return [e for e in events if isinstance(e, Vitals)]


def test_the_rate_once_a_second_and_no_trace_no_beats_no_variability() -> None:
    events = of_rr(sinus(120, rate=70))
    found = vitals(events)
    assert 115 <= len(found) <= 123
    assert {v.lead for v in found} == {"RR"}
    rates = [v.hr_bpm for v in found[10:]]
    assert all(rate is not None and rate == pytest.approx(70, abs=4) for rate in rates)
    assert all(v.quality > 0.9 for v in found[15:])
    assert {v.sdnn_ms for v in found} == {v.rmssd_ms for v in found} == {None}
    assert not [e for e in events if isinstance(e, (Beat, Waveform, Strip))]
    assert onsets(events) == []


def test_high_and_low_rates_are_alarms_by_intervals_only() -> None:
    high = onsets(of_rr(sinus(40, rate=75) + sinus(60, rate=130)))
    assert [a.kind for a in high] == ["hr_high"]
    assert high[0].text.endswith("(RR only)")
    low = onsets(of_rr(sinus(40, rate=75) + sinus(60, rate=38)))
    assert {a.kind for a in low} <= {"hr_low", "extreme_bradycardia"}
    assert "hr_low" in {a.kind for a in low}


def test_a_long_interval_is_a_pause_and_ends_with_its_beat() -> None:
    events = of_rr([*sinus(40, rate=70), 3.6, *sinus(30, rate=70)])
    steps = [e for e in events if isinstance(e, Alarm)]
    assert [(a.kind, a.step) for a in steps] == [("pause", "onset"), ("pause", "end")]
    assert steps[0].text == "PAUSE 3.6 s > 2.0 s (RR only)"


def test_no_interval_for_a_minute_is_never_asystole_nor_a_pause() -> None:
    """A strap that finds no beat sends no interval, and may still say a rate of 0."""
    blocks = [
        RateBlock(b.received_ns, 0 if 30 <= k < 90 else b.bpm, () if 30 <= k < 90 else b.rr_s)
        for k, b in enumerate(notifications(sinus(120), jitter_s=0.0))
    ]
    events = of_blocks(blocks)
    assert onsets(events) == []
    silent = [v for v in vitals(events) if START_NS + 40e9 < v.time_ns < START_NS + 88e9]
    assert {(v.hr_bpm, v.reason) for v in silent} == {(None, "no RR")}
    assert silent[-1].quality == 0
    assert vitals(events)[-1].hr_bpm == pytest.approx(70, abs=4)


def test_a_missed_beat_of_the_strap_changes_no_rate() -> None:
    """The strap leaves out three seconds again and again: no slow rate comes of it."""
    blocks = [
        RateBlock(b.received_ns, b.bpm, () if k % 12 in (0, 1, 2) else b.rr_s)
        for k, b in enumerate(notifications(sinus(180, rate=60), jitter_s=0.0))
    ]
    events = of_blocks(blocks)
    assert onsets(events) == []
    assert all(v.hr_bpm is None or 52 < v.hr_bpm < 68 for v in vitals(events))


def test_a_strap_without_intervals_has_its_own_rate_and_its_limits() -> None:
    events = of_blocks(RateBlock(START_NS + k * 10**9, 64 + 90 * (k > 30), ()) for k in range(60))
    assert {v.hr_bpm for v in vitals(events)[5:25]} == {64}
    assert [(a.kind, a.value) for a in onsets(events)] == [("hr_high", 154)]
    assert {v.quality for v in vitals(events)} == {0}  # not one interval


def test_contact_lost_is_lead_off_and_no_rate() -> None:
    blocks = [
        RateBlock(b.received_ns, b.bpm, b.rr_s, contact=not 30 <= k < 60)
        for k, b in enumerate(notifications(sinus(90), jitter_s=0.0))
    ]
    events = of_blocks(blocks)
    steps = [(e.kind, e.step) for e in events if isinstance(e, Alarm)]
    assert steps == [("lead_off", "onset"), ("lead_off", "end")]
    off = [v for v in vitals(events) if START_NS + 32e9 < v.time_ns < START_NS + 58e9]
    assert {(v.hr_bpm, v.reason) for v in off} == {(None, "lead off")}


@pytest.mark.parametrize(("rr_s", "word"), [(sinus(120), "regular"), (irregular(120), "irregular")])
def test_the_rhythm_is_unreadable_with_a_hint(rr_s: list[float], word: str) -> None:
    events = of_rr(rr_s)
    found = [e for e in events if isinstance(e, Rhythm)]
    assert {(r.label, r.reason) for r in found[4:]} == {("~", f"RR only: intervals {word}")}
    assert {r.label for r in found} == {"~"}
    assert "atrial_fibrillation" not in {a.kind for a in onsets(events)}


def test_a_gap_and_a_strap_that_is_away_are_told_as_for_a_trace() -> None:
    clock = ManualClock(START_NS)
    ward = Ward(runtime.load(), clock)
    chunks = bound(sent(notifications(sinus(120), jitter_s=0.0)))
    events = [event for chunk in chunks[:50] for event in ward.push([chunk])]
    clock.advance(30)
    events += ward.on_clock()
    assert [a.kind for a in onsets(events)] == ["no_signal"]
    back = [event for chunk in chunks[75:] for event in ward.push([chunk])]
    assert [(e.kind, e.step) for e in back if isinstance(e, Alarm)][:3] == [
        ("gap", "onset"),
        ("no_signal", "end"),
        ("gap", "end"),
    ]
    assert vitals(back)[-1].hr_bpm == pytest.approx(70, abs=4)


def test_limits_of_the_person_hold() -> None:
    ward = new_ward()
    chunks = bound(sent(notifications(sinus(60, rate=90), jitter_s=0.0)))
    assert onsets([event for chunk in chunks[:30] for event in ward.push([chunk])]) == []
    given = Action(
        patient_id="p", id="1", time_ns=START_NS, by="Kim", action="limits",
        limits={"hr_high_bpm": 80.0},
    )  # fmt: skip
    events = [*ward.act([(0, 0, given)])]
    events += [event for chunk in chunks[30:] for event in ward.push([chunk])]
    assert [a.kind for a in onsets(events)] == ["hr_high"]
