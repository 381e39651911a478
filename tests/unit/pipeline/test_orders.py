"""One truth for acknowledgement, silence and limits: what the ward tells as orders, and how it goes
on with them after a crash."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest

from ingest.clock import ManualClock
from ingest.messages import Action, Alarm, Orders, SampleChunk, decode, encode, sample_offset_ns
from ingest.simulator.generate import simulate
from ingest.simulator.scenario import load
from models.serving import runtime
from stream_processor.pipeline.ward import Ward

HOUR_NS, S = 3600 * 10**9, 10**9
NOW_NS = 1_790_000_000 * S


@pytest.fixture(scope="module")
def model() -> runtime.Model:
    return runtime.load()


def stream(scenario: str, seconds: float, start_ns: int = NOW_NS) -> Iterator[SampleChunk]:
    """A patient "p", half a second at a time."""
    made = load(scenario)
    counts = b"".join(
        b.counts.astype("<i2").tobytes() for b in simulate(made, seed=1, duration_s=seconds)
    )
    n = round(made.fs_hz / 2)
    for i in range(len(counts) // (2 * n)):
        yield SampleChunk(
            patient_id="p",
            device_id="d",
            lead="II",
            seq=i,
            first_sample=i * n,
            fs_hz=made.fs_hz,
            t0_ns=start_ns + sample_offset_ns(i * n, made.fs_hz),
            counts_per_mv=made.counts_per_mv,
            samples=counts[2 * i * n : 2 * (i + 1) * n],
        )


def act(ward: Ward, place: int, action: str, time_ns: int = NOW_NS, **fields: object) -> list:
    done = Action(patient_id="p", time_ns=time_ns, id=str(place), by="Ada", action=action, **fields)
    return ward.act([(0, place, done)])


def told(ward: Ward) -> Orders:
    """What the ward tells of the patient, through the codec."""
    orders = ward.orders()["p"]
    assert orders is not None
    return decode(encode(orders), Orders)


def of(kind: str, events: list) -> list[Alarm]:
    return [e for e in events if isinstance(e, Alarm) and e.kind == kind]


def test_a_silence_before_the_first_alarm_lasts_as_long_as_it_was_ordered(model) -> None:
    ward, chunks = Ward(model, ManualClock(NOW_NS)), list(stream("tachycardia", 30))
    ward.push(chunks[:4])
    assert told(ward).silenced == {}
    act(ward, 0, "silence", seconds=600.0)
    assert told(ward).silenced == {"": 600.0}
    found = of("hr_high", ward.push(chunks[4:]))
    assert found
    assert all(a.silenced_until_ns is not None for a in found)
    left_s = told(ward).silenced[""]  # told again every 10 s while it lasts
    assert 570 <= left_s < 600


@pytest.mark.parametrize("skew_ns", [-HOUR_NS, HOUR_NS])
def test_the_clock_of_who_orders_has_no_say(model, skew_ns: int) -> None:
    ward = Ward(model, ManualClock(NOW_NS))
    ward.expect_actions({0: 0})
    ward.push(list(stream("normal", 5)))
    act(ward, 0, "silence", NOW_NS + skew_ns, seconds=600.0)
    assert told(ward).silenced == {"": 600.0}


def test_a_silence_ordered_while_nobody_ran_is_as_much_shorter(model) -> None:
    ward = Ward(model, ManualClock(NOW_NS))
    ward.expect_actions({0: 1})
    act(ward, 0, "silence", NOW_NS - 100 * S, seconds=600.0)
    assert told(ward).silenced == {"": 500.0}


def test_a_crash_between_order_and_snapshot_loses_nothing(model) -> None:
    """A snapshot, then the alarm, its acknowledgement, a silence and limits; then only the snapshot
    and what was told are left, and the input comes again."""
    ward, chunks = Ward(model, ManualClock(NOW_NS)), list(stream("asystole", 40))
    ward.push(chunks[:20])
    snapshot = ward.snapshot("p")
    alarm = of("asystole", ward.push(chunks[20:]))[0]
    (given,) = of("asystole", act(ward, 0, "acknowledge", alarm_id=alarm.id))
    assert given.acknowledged_by == "Ada"
    act(ward, 1, "silence", seconds=600.0)
    act(ward, 2, "limits", limits={"hr_high_bpm": 111.0})
    orders = told(ward)

    again = Ward(model, ManualClock(NOW_NS))
    again.restore("p", snapshot)
    again.resume(orders)
    assert act(again, 0, "acknowledge", alarm_id=alarm.id) == []  # counts once
    steps = [a for a in of("asystole", again.push(chunks[20:])) if a.id == alarm.id]
    assert [a.step for a in steps[:2]] == ["onset", "acknowledged"]
    assert steps[-1].acknowledged_by == "Ada"
    now = told(again)
    assert now.limits["hr_high_bpm"] == 111.0
    assert now.changed["hr_high_bpm"].by == "Ada"
    assert 500 < now.silenced[""] <= 600


def test_an_acknowledgement_that_comes_before_its_alarm_is_kept_for_it(model) -> None:
    """As when a worker is killed before it has told anything: actions are read again at once, samples
    take their time."""
    chunks = list(stream("asystole", 40))
    alarm = of("asystole", Ward(model, ManualClock(NOW_NS)).push(chunks))[0]
    ward = Ward(model, ManualClock(NOW_NS))
    ward.expect_actions({0: 1})
    act(ward, 0, "acknowledge", alarm_id=alarm.id)
    steps = [a for a in of("asystole", ward.push(chunks)) if a.id == alarm.id]
    assert steps[-1].acknowledged_by == "Ada"


def test_limits_that_nobody_could_use_undo_none(model) -> None:
    ward = Ward(model, ManualClock(NOW_NS))
    act(ward, 0, "limits", limits={"hr_high_bpm": 111.0})
    for place, limits in enumerate(({"hr_high_bpm": 1.0}, {"no_such_limit": 5.0}), start=1):
        act(ward, place, "limits", limits=limits)
    assert told(ward).limits["hr_high_bpm"] == 111.0


def test_an_alarm_that_is_switched_off_is_not_raised_until_it_is_on_again(model) -> None:
    """It ends if it stands; a snapshot and the orders told both keep it off, and it belongs to the
    patient and not to the stream."""
    chunks = list(stream("tachycardia", 40))
    ward = Ward(model, ManualClock(NOW_NS))
    (raised,) = of("hr_high", ward.push(chunks[:50]))
    act(ward, 0, "limits", switches={"hr_high": False, "bigeminy": False})
    snapshot, orders = ward.snapshot("p"), told(ward)
    assert (orders.off, orders.default_off) == (("bigeminy", "hr_high"), ())
    assert (orders.switched["hr_high"].on, orders.switched["hr_high"].by) == (False, "Ada")
    steps = of("hr_high", ward.push(chunks[50:]))
    assert [(a.id, a.step) for a in steps] == [(raised.id, "end")]

    for restored, resumed in ((snapshot, None), (None, orders)):
        again = Ward(model, ManualClock(NOW_NS))
        if restored is not None:
            again.restore("p", restored)
        if resumed is not None:
            again.resume(resumed)
        assert of("hr_high", again.push(chunks[50:]))[1:] == []
        act(again, 1, "resume")  # any order has them told again
        assert told(again).off == orders.off

    act(ward, 1, "limits", switches={"hr_high": None})
    orders = told(ward)
    assert (orders.off, list(orders.switched)) == (("bigeminy",), ["bigeminy"])


def test_lethal_alarms_cannot_be_switched_off(model) -> None:
    ward = Ward(model, ManualClock(NOW_NS))
    act(ward, 0, "limits", switches={"pause": False})
    act(ward, 1, "limits", limits={"hr_high_bpm": 111.0}, switches={"asystole": False})
    orders = told(ward)
    assert orders.off == ("pause",)
    assert orders.limits["hr_high_bpm"] != 111.0  # the action is refused whole


def test_orders_of_a_version_that_knew_no_switches_are_read() -> None:
    old = msgspec.to_builtins(Orders(patient_id="p", limits={"hr_high_bpm": 111.0}))
    data = msgspec.msgpack.encode(
        {name: old[name] for name in old if name not in ("off", "default_off", "switched")}
    )
    assert decode(data, Orders).off is None
    action = Action(
        patient_id="p", time_ns=1, id="a", by="Ada", action="limits", switches={"pause": False}
    )
    assert decode(encode(action), Action).switches == {"pause": False}


def test_who_leaves_nothing_behind_is_told_to_be_forgotten(model) -> None:
    ward, chunks = Ward(model, ManualClock(NOW_NS)), list(stream("normal", 5))
    ward.push(chunks[:-1])
    assert told(ward).limits
    ward.push([msgspec.structs.replace(chunks[-1], end=True)])
    assert ward.orders() == {"p": None}
    assert ward.orders() == {}
