"""The notification queue with a clock that the test moves: who is told when, what is tried again,
what a new process takes over."""

from __future__ import annotations

from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.clock import ManualClock
from ingest.messages import Alarm, Delivery, Priority
from stream_processor.notifications.entries import DeliveryEntry
from stream_processor.notifications.lane import AT_ONCE, AWAY_AFTER, LONGEST_RETRY_S
from stream_processor.notifications.late import QUIET_S
from stream_processor.notifications.plan import Escalation, NotificationPlan, Recipient, Rule
from stream_processor.notifications.queue import GIVE_UP_S, SAY_AFTER_S, Attempt, NotificationQueue
from stream_processor.notifications.text import note

NOW = 1_767_225_600 * 10**9  # 2026-01-01T00:00:00Z
PLAN = NotificationPlan(
    recipients={name: Recipient(url="x") for name in ("nurse", "doctor", "chief")},
    rules=(
        Rule(
            recipients=("nurse",),
            escalation=(Escalation(1, ("doctor",)), Escalation(2, ("chief",))),
        ),
    ),
)


def alarm(
    number: int = 0,
    step: str = "onset",
    *,
    priority: Priority = "high",
    patient: str = "Bed 1",
    **changes: object,
) -> Alarm:
    onset_ns = NOW + number * 10**9
    a = Alarm(
        patient_id=patient,
        device_id="d",
        lead="II",
        fs_hz=250.0,
        id=f"{patient}:asystole:{onset_ns}",
        kind="asystole",
        priority=priority,
        step="onset",
        changed_ns=onset_ns,
        onset_ns=onset_ns,
        raised_ns=onset_ns,
        onset_sample=0,
        raised_sample=0,
        latching=True,
        text="ASYSTOLE 4 s",
    )
    return msgspec.structs.replace(a, step=step, **changes)


class Story:
    """A queue, its clock, and everything that it has put on the broker."""

    def __init__(self, plan: NotificationPlan = PLAN, clock: ManualClock | None = None) -> None:
        self.clock = clock or ManualClock(NOW)
        self.queue = NotificationQueue(plan, self.clock)
        self.written: list[Delivery] = []

    def take(self, *alarms: Alarm) -> None:
        for one in alarms:
            self.put(self.queue.take(one, 0)[1])

    def put(self, entries: list[DeliveryEntry]) -> None:
        self.written += [entry.delivery for entry in entries]

    def start(self) -> list[Attempt]:
        return self.queue.start()

    def land(self, failure: str = "") -> list[str]:
        """Begin what is due and let all of it land; who was tried."""
        attempts = self.start()
        for attempt in attempts:
            self.put(self.queue.finish(attempt, failure))
        return [attempt.job.recipient for attempt in attempts]

    def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.put(self.queue.tick())

    def said(self) -> list[tuple[str, str, int, str]]:
        return [(d.recipient, d.step, d.attempt, d.outcome) for d in self.written]


def test_an_onset_is_told_once_and_recorded():
    story = Story()
    story.take(alarm(), alarm(), alarm(step="update"))
    assert story.land() == ["nurse"]
    assert story.land() == []
    assert story.said() == [("nurse", "onset", 1, "delivered")]
    assert story.queue.waiting == 0


def test_each_call_goes_to_more_people():
    story = Story()
    for level in range(4):
        story.take(alarm(step="escalated" if level else "onset", level=level))
        assert story.land() == ["nurse", "doctor", "chief"][: level + 1]


def test_what_is_not_announced_is_told_to_nobody_until_it_is():
    story = Story()
    story.take(alarm(announced=False))
    assert story.land() == []
    story.take(alarm(step="update"), alarm(step="update"))
    assert story.land() == ["nurse"]
    assert story.said() == [("nurse", "onset", 1, "delivered")]


def test_a_failure_is_tried_again_later_and_later():
    story = Story()
    story.take(alarm())
    tried = []
    for second in range(200):
        tried += [second] * len(story.land("refused"))
        story.pass_time(1)
    waits = [b - a for a, b in pairwise(tried)]
    assert waits[:4] == [5, 10, 20, 40]
    assert max(waits) <= LONGEST_RETRY_S
    assert [d.attempt for d in story.written] == list(range(1, len(tried) + 1))
    for d, wait in zip(story.written, waits, strict=False):
        assert (d.outcome, d.reason, d.next_ns) == ("failed", "refused", d.time_ns + wait * 10**9)


def test_it_is_given_up_after_a_day():
    story = Story()
    story.take(alarm())
    for _ in range(int(GIVE_UP_S / 30) + 5):
        story.land("refused")
        story.pass_time(30)
    assert story.queue.waiting == 0
    assert story.written[-1].next_ns is None
    assert "given up after a day" in story.written[-1].reason


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (
            alarm(step="acknowledged", acknowledged_by="Ann", acknowledged_ns=NOW),
            "acknowledged by Ann",
        ),
        (alarm(step="escalated", level=1), "the alarm has re-alarmed (level 1)"),
        (alarm(step="silenced", priority="medium", silenced_until_ns=NOW + 60 * 10**9), "silenced"),
    ],
)
def test_who_has_come_is_not_called_any_more(answer, reason):
    story = Story()
    story.take(alarm(priority=answer.priority))
    story.land("refused")
    story.take(answer)
    stopped = story.written[-1]
    assert (stopped.outcome, stopped.step, stopped.reason, stopped.next_ns) == (
        "held back",
        "onset",
        reason,
        None,
    )
    story.pass_time(600)
    assert "onset" not in [attempt.job.moment.step for attempt in story.start()]


def test_an_acknowledgement_while_the_message_is_on_its_way():
    story = Story()
    story.take(alarm())
    attempt = story.start()[0]
    story.take(alarm(step="acknowledged", acknowledged_by="Ann"))
    assert story.written == []
    story.put(story.queue.finish(attempt, "refused"))
    assert [(d.outcome, d.reason, d.next_ns is None) for d in story.written] == [
        ("failed", "refused", False),
        ("held back", "acknowledged by Ann", True),
    ]
    story.pass_time(600)
    assert story.start() == []


def test_an_end_does_not_unsay_the_alarm():
    story = Story()
    story.take(alarm(priority="medium"))
    story.land("refused")
    story.take(alarm(step="end", priority="medium", end_ns=NOW + 10**9))
    story.pass_time(6)
    assert story.land() == ["nurse"]


def test_end_and_acknowledgement_where_a_rule_wants_them():
    rule = Rule(recipients=("nurse",), also=("end", "acknowledged"))
    story = Story(NotificationPlan(recipients=PLAN.recipients, rules=(rule,)))
    story.take(
        alarm(), alarm(step="acknowledged", acknowledged_by="Ann"), alarm(step="end", end_ns=NOW)
    )
    story.land()
    assert [d.step for d in story.written if d.outcome == "delivered"] == ["acknowledged", "end"]
    assert story.written[0].reason == "acknowledged by Ann"  # the onset had not begun


def test_quiet_hours_and_silence_hold_back_but_never_a_high_one():
    rule = Rule(recipients=("nurse",), quiet="22:00-07:00")
    story = Story(NotificationPlan(recipients=PLAN.recipients, rules=(rule,)))  # it is midnight
    story.take(alarm(1), alarm(2, priority="low"), alarm(3, silenced_until_ns=NOW + 10**12))
    assert story.land() == ["nurse", "nurse"]
    assert [d.reason for d in story.written if d.outcome == "held back"] == [
        "quiet hours 22:00-07:00"
    ]
    story.pass_time(8 * 3600)
    story.take(alarm(4, priority="low"), alarm(5, priority="low", silenced_until_ns=NOW + 10**12))
    assert story.land() == ["nurse"]
    assert story.written[-1].outcome == "delivered"
    assert [d.reason for d in story.written if d.outcome == "held back"][1:] == ["silenced"]


def test_a_dead_recipient_holds_up_nobody_and_is_not_stormed():
    plan = NotificationPlan(
        recipients=PLAN.recipients, rules=(Rule(recipients=("nurse", "doctor")),)
    )
    story = Story(plan)
    story.take(*(alarm(i) for i in range(100)))
    tried: list[str] = []
    for _ in range(600):
        for attempt in story.start():
            tried.append(attempt.job.recipient)
            story.put(
                story.queue.finish(attempt, "refused" if attempt.job.recipient == "nurse" else "")
            )
        story.pass_time(1)
    assert tried.count("doctor") == 100
    # each once at once, then one for all of them
    assert 100 < tried.count("nurse") < 100 + 600 / 10
    assert story.queue.waiting == 100
    for _ in range(120):  # it is back
        story.land()
        story.pass_time(1)
    assert story.queue.waiting == 0
    told = [
        d.alarm_id for d in story.written if d.outcome == "delivered" and d.recipient == "nurse"
    ]
    assert len(told) == len(set(told)) == 100


def test_new_failures_do_not_put_the_next_try_off():
    story = Story()
    story.take(alarm(0))
    for number in range(1, 60):  # a new alarm each second, all refused at once
        story.take(alarm(number))
        while story.land("refused"):
            pass
        story.pass_time(1)
    again = [d for d in story.written if d.attempt > 1]
    assert 3 <= len(again) <= 8
    story.take(alarm(99))
    while story.land():  # it gets through: the others are due
        pass
    assert story.queue.waiting == 0


def test_who_waits_behind_a_hanging_recipient_is_told_of_in_the_record():
    story = Story()
    story.take(*(alarm(i) for i in range(20)))
    assert len(story.start()) == AT_ONCE
    story.pass_time(SAY_AFTER_S)
    held = [d for d in story.written if d.outcome == "held back"]
    assert len(held) == 20 - AT_ONCE
    assert all(d.next_ns is not None and "waits its turn" in d.reason for d in held)


def test_the_worst_goes_first():
    story = Story()
    story.take(
        *(alarm(i, priority="low") for i in range(10)), alarm(20, priority="medium"), alarm(21)
    )
    assert [a.job.alarm.priority for a in story.start()][:3] == ["high", "medium", "low"]


def test_a_success_that_comes_late_ends_the_tries():
    story = Story()
    story.take(alarm())
    attempt = story.start()[0]
    story.put(story.queue.finish(attempt, "no answer within 20 s"))
    story.put(story.queue.late(attempt))
    assert story.said() == [("nurse", "onset", 1, "failed"), ("nurse", "onset", 1, "delivered")]
    story.pass_time(600)
    assert story.start() == []


def restored(
    story: Story, past: list[Alarm], coming: tuple[Alarm, ...] = (), plan: NotificationPlan = PLAN
) -> Story:
    """A new process: it reads what is on the broker, and then goes on."""
    new = Story(plan, story.clock)
    new.put(
        new.queue.restore(
            [(0, d) for d in story.written], [(0, a) for a in past], [a.id for a in coming]
        )
    )
    new.take(*coming)
    return new


def test_a_new_process_goes_on_where_the_old_one_was():
    story = Story()
    past = [alarm(1), alarm(2), alarm(3), alarm(3, "acknowledged", acknowledged_by="Ann")]
    story.take(*past)
    for attempt in story.start():
        story.put(story.queue.finish(attempt, "" if attempt.job.alarm == past[0] else "refused"))
    assert [d.outcome for d in story.written] == ["held back", "delivered", "failed"]
    story.clock.advance(2)
    new = restored(story, past)
    assert new.land() == []  # not due yet
    new.pass_time(3)
    attempts = new.start()
    assert [a.job.alarm for a in attempts] == [alarm(2)]
    assert attempts[0].number == 2


def test_what_was_read_but_not_recorded_is_told_by_the_new_process():
    story = Story()
    story.take(alarm(1), alarm(2))
    first, _ = story.start()
    # the other one was in flight at the kill: nothing is committed
    story.put(story.queue.finish(first, ""))
    new = restored(story, [], (alarm(1), alarm(2)))
    assert [a.job.alarm for a in new.start()] == [alarm(2)]


def test_a_recipient_who_left_the_file_is_closed_and_a_new_one_gets_no_old_alarms():
    story = Story()
    story.take(alarm())
    story.land("refused")
    plan = NotificationPlan(
        recipients={"chief": Recipient(url="x")}, rules=(Rule(recipients=("chief",)),)
    )
    new = restored(story, [alarm()], plan=plan)
    assert [(d.recipient, d.outcome, d.next_ns) for d in new.written] == [
        ("nurse", "held back", None)
    ]
    new.pass_time(600)
    assert new.start() == []


def test_partitions_that_went_to_another_process_are_left_alone():
    story = Story()
    story.take(alarm(1), alarm(2))
    failing, succeeding = story.start()
    story.queue.forget([0])
    story.put(story.queue.finish(failing, "refused"))
    story.put(story.queue.finish(succeeding, ""))
    story.pass_time(600)
    assert story.start() == []
    assert story.said() == [("nurse", "onset", 1, "delivered")]


STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("take"),
            st.integers(0, 4),
            st.sampled_from(["onset", "escalated", "acknowledged", "end", "update"]),
        ),
        st.tuples(st.just("land"), st.booleans()),
        st.tuples(st.just("wait"), st.integers(1, 100)),
        st.tuples(st.just("die"), st.booleans()),
    ),
    max_size=40,
)


@given(STEPS)
def test_nothing_is_lost_whatever_fails_and_whoever_dies(steps):
    """Every job that came to be is in the end delivered or closed with a reason; what is read is
    committed only with a Delivery."""
    story, log, committed = Story(), [], 0
    unsafe: dict[str, int] = {}

    def take(number: int) -> None:
        keys, entries = story.queue.take(log[number], 0)
        unsafe.update(dict.fromkeys(keys, number))
        put(entries)

    def put(entries: list[DeliveryEntry]) -> None:
        story.put(entries)
        for entry in entries:
            unsafe.pop(entry.key, None)

    def land(failure: str) -> int:
        attempts = story.start()
        for attempt in attempts:
            put(story.queue.finish(attempt, failure))
        return len(attempts)

    wanted: set[str] = set()
    for step in steps:
        if step[0] == "take":
            level = (
                sum(a.step == "escalated" and a.onset_ns == NOW + step[1] * 10**9 for a in log) + 1
            )
            log.append(
                alarm(
                    step[1],
                    step[2],
                    level=level if step[2] == "escalated" else 0,
                    acknowledged_by="Ann",
                )
            )
            take(len(log) - 1)
            wanted |= set(unsafe)
        elif step[0] == "land":
            land("" if step[1] else "refused")
        elif step[0] == "wait":
            story.clock.advance(step[1])
            put(story.queue.tick())
        else:  # a kill: what was not committed is read again, what was in flight may have been sent
            if step[1]:
                story.start()
            committed = min(unsafe.values(), default=len(log))
            old, story = story, Story(clock=story.clock)
            story.written = old.written
            unsafe.clear()
            put(
                story.queue.restore(
                    [(0, d) for d in old.written],
                    [(0, a) for a in log[:committed]],
                    [a.id for a in log[committed:]],
                )
            )
            for number in range(committed, len(log)):
                take(number)
    for _ in range(200):
        story.clock.advance(61)
        land("")
    assert story.queue.waiting == 0
    assert not unsafe
    last = {d.id.rpartition("|")[0]: d for d in story.written}
    assert wanted <= set(last)
    assert all(d.next_ns is None for d in last.values())


def test_away_after_is_reached_by_the_first_attempts():
    assert AWAY_AFTER <= AT_ONCE


def test_late_alarms_are_one_message_per_patient_and_what_still_holds_is_told_as_current():
    story = Story()
    late = [
        alarm(-7200 + 600 * i, priority=p, late_s=7000.0 - 600 * i)
        for i, p in enumerate(("medium", "high", "medium"))
    ]
    story.take(*late, alarm(-7000, patient="Bed 2", late_s=7000.0))
    ended = [msgspec.structs.replace(a, step=step) for a in late[:2] for step in ("update", "end")]
    story.take(*ended, msgspec.structs.replace(late[1], step="escalated", level=3))
    assert story.land() == []
    story.pass_time(QUIET_S - 1)
    assert story.land() == []
    story.pass_time(1)
    attempts = story.start()
    assert [(a.job.alarm.patient_id, a.job.moment.level) for a in attempts] == [
        ("Bed 1", 3),
        ("Bed 2", 1),
    ]
    told = note(PLAN, attempts[0].job.alarm, attempts[0].job.moment)
    assert told.title == "Bed 1: 3 late alarm(s), worst ASYSTOLE 4 s"
    assert "from 2025-12-31 22:00:00 UTC to 2025-12-31 22:20:00 UTC" in told.body
    for attempt in attempts:
        story.put(story.queue.finish(attempt, ""))
    story.take(msgspec.structs.replace(late[2], step="update", late_s=0.0))
    assert story.land() == ["nurse"]
    assert [(d.step, d.outcome) for d in story.written] == [
        ("late", "delivered"),
        ("late", "delivered"),
        ("onset", "delivered"),
    ]


def test_late_alarms_that_were_not_told_of_are_read_again_by_the_next_process():
    story, one = Story(), alarm(-7200, late_s=7000.0)
    keys, _ = story.queue.take(one, 0)
    assert keys == [f"{one.id}|late|0|nurse"], "its place is not committed before this is written"
    story.pass_time(QUIET_S)
    story.land()
    (said,) = story.written
    assert said.id == f"{keys[0]}|1"
    successor = Story(clock=story.clock)
    successor.put(successor.queue.restore([(0, said)], [(0, one)], [one.id]))
    successor.pass_time(QUIET_S)
    assert successor.land() == []
