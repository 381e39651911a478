"""What people and time make of alarms, as timelines: what happens at which second, and the steps
that follow."""

from __future__ import annotations

import msgspec
import pytest

from ingest.messages import Action, Alarm
from stream_processor.pipeline.alarms.catalogue import CATALOGUE
from stream_processor.pipeline.alarms.lifecycle import AlarmLifecycle

S = 10**9
ESCALATE_S = 120.0


def alarm(
    kind: str, onset: float, step: str = "onset", at: float | None = None, **fields: object
) -> Alarm:
    """A step as the engine tells it; `at` is when it is known."""
    k = CATALOGUE[kind]  # type: ignore[index]
    at = onset if at is None else at
    values = {
        "patient_id": "p",
        "device_id": "d",
        "lead": "I",
        "fs_hz": 250.0,
        "id": f"p:{kind}:{onset}",
        "kind": kind,
        "priority": k.priority,
        "step": step,
        "changed_ns": round(at * S),
        "onset_ns": round(onset * S),
        "raised_ns": round(onset * S),
        "latching": k.latching,
        "end_ns": round(at * S) if step == "end" else None,
        "onset_sample": 0,
        "raised_sample": 0,
    }
    return msgspec.convert(values | fields, Alarm)


class Timeline:
    """An alarm life cycle, and a short word for each step it tells."""

    def __init__(self) -> None:
        self.lifecycle, self.place = AlarmLifecycle(), 0

    def engine(self, *args: object, **fields: object) -> list[str]:
        return _words(self.lifecycle.take(alarm(*args, **fields), ESCALATE_S))  # type: ignore[arg-type]

    def until(self, second: float) -> list[str]:
        return _words(self.lifecycle.advance("p", round(second * S), ESCALATE_S))

    def person(self, action: str, **fields: object) -> list[str]:
        values = {
            "patient_id": "p",
            "time_ns": 5 * S,
            "id": str(self.place),
            "by": "Ada",
            "action": action,
        } | fields
        found = self.lifecycle.act(msgspec.convert(values, Action), 0, self.place)
        self.place += 1
        return _words(found)


def _words(alarms: list[Alarm]) -> list[str]:
    return [
        f"{a.step} {a.kind} {a.changed_ns / S:g}" + (f" level {a.level}" if a.level else "")
        for a in alarms
    ]


def test_a_latching_alarm_stays_until_it_is_acknowledged_and_calls_meanwhile() -> None:
    t = Timeline()
    assert t.engine("asystole", 10) == ["onset asystole 10"]
    assert t.engine("asystole", 10, "end", 20) == ["end asystole 20"]
    assert t.until(129) == []
    assert t.until(400) == [
        "escalated asystole 130 level 1",
        "escalated asystole 250 level 2",
        "escalated asystole 370 level 3",
    ]
    assert t.lifecycle.patients() == ["p"]
    assert t.person("acknowledge", alarm_id="p:asystole:10") == [
        "acknowledged asystole 400 level 3"
    ]
    assert t.lifecycle.patients() == []
    assert t.until(2000) == []


def test_an_acknowledged_alarm_that_holds_calls_again_after_two_minutes() -> None:
    t = Timeline()
    t.engine("ventricular_fibrillation", 10)
    assert t.until(20) == []
    assert t.person("acknowledge") == ["acknowledged ventricular_fibrillation 20"]
    assert t.until(139) == []
    (again,) = t.lifecycle.advance("p", 141 * S, ESCALATE_S)
    assert (
        again.step,
        again.changed_ns,
        again.level,
        again.acknowledged_ns,
        again.acknowledged_by,
    ) == ("escalated", 140 * S, 1, None, "")
    assert t.person("acknowledge") == ["acknowledged ventricular_fibrillation 141 level 1"]
    assert t.engine("ventricular_fibrillation", 10, "end", 150) == [
        "end ventricular_fibrillation 150 level 1"
    ]
    assert t.until(1000) == []
    assert t.lifecycle.patients() == []


def test_medium_alarms_call_again_only_after_an_acknowledgement_and_low_and_technical_ones_never() -> (
    None
):
    t = Timeline()
    for kind in ("hr_high", "pvc_per_minute", "lead_off"):
        t.engine(kind, 10)
    assert t.until(1000) == []
    assert len(t.person("acknowledge")) == 3
    assert t.until(1119) == []
    assert t.until(2000) == [f"escalated hr_high {1120} level 1"]


def test_acknowledging_tells_who_and_when_and_covers_earlier_ones_of_the_kind() -> None:
    t = Timeline()
    for onset in (10, 30, 50):
        t.engine("ventricular_tachycardia", onset)
        t.engine("ventricular_tachycardia", onset, "end", onset + 5)
    assert t.person("acknowledge", alarm_id="p:ventricular_tachycardia:30") == [
        "acknowledged ventricular_tachycardia 55",
        "acknowledged ventricular_tachycardia 55",
    ]
    (last,) = t.lifecycle.act(
        Action(
            patient_id="p",
            time_ns=77,
            id="x",
            by="Grace",
            action="acknowledge",
            alarm_id="p:ventricular_tachycardia:50",
        ),
        0,
        9,
    )
    assert (last.acknowledged_by, last.acknowledged_ns, last.end_ns) == ("Grace", 77, 55 * S)
    # nothing stands any more
    assert t.person("acknowledge", alarm_id="p:ventricular_tachycardia:50") == []
    assert t.person("acknowledge", alarm_id="nonsense") == []


def test_a_person_calls_the_next_one_until_somebody_has_acknowledged() -> None:
    t = Timeline()
    for kind in ("asystole", "hr_high"):
        t.engine(kind, 10)
    t.until(20)
    assert t.person("escalate", alarm_id="p:hr_high:10") == ["escalated hr_high 20 level 1"]
    assert t.person("escalate", alarm_id="p:asystole:10") == ["escalated asystole 20 level 1"]
    assert t.until(139) == []  # the time to the next call counts from there
    assert t.until(141) == ["escalated asystole 140 level 2"]
    t.person("acknowledge")
    assert t.person("escalate", alarm_id="p:asystole:10") == []
    assert t.person("escalate", alarm_id="nonsense") == []


def test_only_the_newest_of_a_kind_calls_again() -> None:
    t = Timeline()
    for onset in (10, 30):
        t.engine("asystole", onset)
        t.engine("asystole", onset, "end", onset + 5)
    assert t.until(200) == ["escalated asystole 150 level 1"]


def test_a_silenced_kind_says_so_and_high_ones_break_through() -> None:
    t = Timeline()
    t.engine("hr_high", 10)
    assert t.person("silence", kind="hr_high", seconds=60) == ["silenced hr_high 10"]
    (next_one,) = t.lifecycle.take(alarm("hr_high", 40), ESCALATE_S)
    assert next_one.silenced_until_ns == 70 * S
    t.person("silence", kind="", seconds=600)
    for kind, silent in (
        ("pvc_couplet", True),
        ("asystole", False),
        ("ventricular_tachycardia", False),
    ):
        (told,) = t.lifecycle.take(alarm(kind, 50), ESCALATE_S)
        assert (told.silenced_until_ns is not None) is silent
    assert "update pvc_couplet 50" in t.person("resume")
    (told,) = t.lifecycle.take(alarm("bigeminy", 60), ESCALATE_S)
    assert told.silenced_until_ns is None


def test_silence_ends_by_itself() -> None:
    t = Timeline()
    t.engine("hr_high", 10)
    t.person("silence", kind="hr_low", seconds=60)
    (told,) = t.lifecycle.take(alarm("hr_low", 71), ESCALATE_S)
    assert told.silenced_until_ns is None


def test_what_was_withdrawn_does_not_call() -> None:
    t = Timeline()
    t.engine("ventricular_tachycardia", 10)
    t.engine("ventricular_tachycardia", 10, "update", 12, announced=False)  # fibrillation holds now
    assert t.until(1000) == []
    assert t.engine("ventricular_tachycardia", 10, "end", 1001, announced=False) == [
        "end ventricular_tachycardia 1001"
    ]
    assert t.lifecycle.patients() == []


def test_the_end_of_a_stream_keeps_what_is_latched() -> None:
    t = Timeline()
    t.engine("asystole", 10)
    t.engine("hr_low", 10)
    t.lifecycle.end_stream("p")
    assert t.until(131) == ["escalated asystole 130 level 1"]
    assert t.person("acknowledge") == ["acknowledged asystole 131 level 1"]
    assert t.lifecycle.patients() == []


def test_a_new_stream_has_its_own_time() -> None:
    """What was left of a silence and of the time to the next call is left, wherever the new
    timeline begins."""
    t = Timeline()
    t.person("silence", kind="hr_low", seconds=60)  # before there is any stream
    t.lifecycle.begin_stream("p", 1000 * S)
    (told,) = t.lifecycle.take(alarm("hr_low", 1050), ESCALATE_S)
    assert told.silenced_until_ns == 1060 * S
    t.engine("asystole", 1050)
    t.lifecycle.end_stream("p")
    t.lifecycle.begin_stream("p", 500 * S)  # a replay, earlier than the one before
    assert t.until(619) == []
    assert t.until(620) == ["escalated asystole 620 level 1"]


def test_limits_are_the_patients_own_and_stay() -> None:
    t = Timeline()
    t.person("limits", limits={"hr_high_bpm": 130.0, "hr_low_bpm": 45.0})
    t.person("limits", limits={"hr_low_bpm": None})
    assert t.lifecycle.ordered("p").limits == {"hr_high_bpm": 130.0}
    assert t.lifecycle.patients() == ["p"]


def test_an_action_counts_once() -> None:
    t = Timeline()
    t.engine("asystole", 10)
    action = Action(patient_id="p", time_ns=1, id="a", by="Ada", action="acknowledge")
    assert len(t.lifecycle.act(action, 0, 5)) == 1
    assert t.lifecycle.advance("p", 131 * S, ESCALATE_S)[0].step == "escalated"
    assert t.lifecycle.act(action, 0, 5) == []  # read again after a restart


@pytest.mark.parametrize("moment", [5, 15, 25, 200])
def test_a_restart_changes_nothing(moment: float) -> None:
    """The same story with and without a restart at a moment: latched, acknowledged, silenced are
    what they were."""

    def tell(restart: bool) -> list[str]:
        t = Timeline()
        words = t.person("silence", kind="hr_high", seconds=300)
        story = [
            (10, lambda: t.engine("asystole", 10)),
            (12, lambda: t.engine("hr_high", 12)),
            (14, lambda: t.engine("asystole", 10, "end", 14)),
            (20, lambda: t.person("acknowledge", alarm_id="p:asystole:10")),
            (22, lambda: t.engine("ventricular_fibrillation", 22)),
            (24, lambda: t.person("acknowledge")),
            (250, lambda: t.until(250)),
            (301, lambda: t.engine("hr_high", 301)),
        ]
        for second, happens in story:
            if restart and second > moment:
                state = msgspec.msgpack.decode(msgspec.msgpack.encode(t.lifecycle.snapshot("p")))
                t.lifecycle = AlarmLifecycle()
                t.lifecycle.restore("p", state)
                restart = False
            words += happens()
        return words

    assert tell(True) == tell(False)


def test_without_a_signal_an_alarm_calls_again_once_however_long_it_took() -> None:
    t = Timeline()
    t.engine("asystole", 10)
    again = t.lifecycle.skip("p", 30 * 86400 * S, ESCALATE_S)
    assert [a.level for a in again] == [1]
    assert 30 * 86400 - ESCALATE_S < again[0].changed_ns / S <= 30 * 86400
    assert t.lifecycle.skip("p", 30 * 86400 * S + S, ESCALATE_S) == []
    assert len(t.lifecycle.skip("p", (30 * 86400 + ESCALATE_S) * S, ESCALATE_S)) == 1


def test_places_of_actions_are_compared_within_their_partition() -> None:
    t = Timeline()
    t.engine("asystole", 10)
    action = Action(patient_id="p", time_ns=1, id="a", by="Ada", action="acknowledge")
    assert len(t.lifecycle.act(action, 0, 700)) == 1
    t.engine("ventricular_fibrillation", 20)
    assert len(t.lifecycle.act(action, 12, 0)) == 1  # the patient has moved to a new partition
    assert t.lifecycle.act(action, 12, 0) == []
    t.engine("ventricular_tachycardia", 30)
    t.lifecycle.expect_actions({0: 800, 12: 0})  # the second one was made anew
    assert t.lifecycle.act(action, 0, 700) == []
    assert len(t.lifecycle.act(action, 12, 0)) == 1


def test_nothing_is_kept_of_patients_of_whom_nothing_must_be_remembered() -> None:
    t = Timeline()
    t.engine("hr_high", 10)
    t.engine("hr_high", 10, "end", 12)
    assert t.lifecycle.snapshot("p") is not None
    t.lifecycle.end_stream("p")
    assert t.lifecycle.snapshot("p") is None
