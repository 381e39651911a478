"""Messages about people: their actions on alarms, edits, orders in force, notifications,
journal."""

from __future__ import annotations

from typing import Literal

import msgspec

from ingest.messages.kinds import SCHEMA, AlarmKind, Priority


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """A person's action on a patient's alarms. Topic ecg.acks. Identity: (patient_id, time_ns,
    id).

    acknowledge: the alarm `alarm_id`, or all standing ones. silence: alarms of `kind` ("": of any)
    for `seconds`; alarms of high priority still sound. resume: ends a silence. escalate: raises the
    alarm `alarm_id` again now, so that the next person is called. limits: sets fields
    of the patient's alarm profile, and switches alarms on or off; None restores what the profile
    says. profile: from now on the
    patient's alarm profile is the one named `profile`; "" restores the one of the profiles file.
    """

    schema: int = SCHEMA
    patient_id: str
    time_ns: int  # by the wall clock
    id: str  # made by the sender; a repeated id counts once
    by: str
    action: Literal["acknowledge", "silence", "resume", "escalate", "limits", "profile"]
    alarm_id: str = ""
    kind: AlarmKind | Literal[""] = ""
    seconds: float | None = None
    limits: dict[str, float | None] = {}
    note: str = ""
    profile: str = ""
    switches: dict[AlarmKind, bool | None] = {}  # kinds of alarms that are switched on or off


class Acknowledgement(msgspec.Struct, frozen=True):
    """An alarm's acknowledgement: its stream time, its wall time and the person's name."""

    at_ns: int
    time_ns: int
    by: str


class LimitChange(msgspec.Struct, frozen=True):
    """A limit that a person set: its value, its wall time and the person's name."""

    value: float
    time_ns: int
    by: str


class Switch(msgspec.Struct, frozen=True):
    """An alarm that a person switched on or off: the wall time and the person's name."""

    on: bool
    time_ns: int
    by: str


class Orders(msgspec.Struct, frozen=True, kw_only=True):
    """The orders of people in force for a patient's alarms. Topic ecg.orders, compacted; the newest
    message of a patient counts, and None says that no order is in force.

    Decided by the alarm life cycle alone, published on every change and every 10 s while something
    is silenced: a display derives nothing itself, and needs only a timer that counts seconds.
    """

    schema: int = SCHEMA
    patient_id: str
    now_ns: int = 0  # stream time
    silenced: dict[str, float] = {}  # kind ("" for any but high): seconds left
    limits: dict[str, float] = {}  # every limit in force
    defaults: dict[str, float] = {}  # the profile's
    changed: dict[str, LimitChange] = {}  # those of them that people have set
    # alarms that are not raised, and those of the profile; None: written before they were told
    off: tuple[AlarmKind, ...] | None = None
    default_off: tuple[AlarmKind, ...] | None = None
    switched: dict[AlarmKind, Switch] = {}  # alarms that people have switched on or off
    profile: str = ""  # name of the profile given at admission; "" for the one of the profiles file
    acknowledged: dict[str, Acknowledgement] = {}  # the newest ones, by alarm id
    acted: dict[int, int] = {}  # by partition of ecg.acks: one past the last action inside


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt to notify one recipient of one step of an alarm. Topic ecg.notifications.
    Identity: (patient_id, time_ns, id)."""

    schema: int = SCHEMA
    patient_id: str
    time_ns: int  # by the wall clock
    id: str  # alarm id, step, level, recipient and attempt
    alarm_id: str
    kind: AlarmKind
    priority: Priority
    step: str
    recipient: str  # its name in the notifications file; never its address
    attempt: int  # from 1
    outcome: Literal["delivered", "failed", "held back"]
    reason: str = ""  # why the attempt failed, or which rule suppressed it
    next_ns: int | None = None  # when the attempt is repeated; None if it is not


# only beats are moved and inserted
Verdict = Literal["confirmed", "rejected", "relabelled", "moved", "inserted"]


class Edit(msgspec.Struct, frozen=True, kw_only=True):
    """A person's verdict on one of the model's answers, or a beat that the model missed. Topic
    ecg.edits. Identity: (patient_id, time_ns, id).

    The newest edit of a target counts.
    """

    schema: int = SCHEMA
    patient_id: str
    time_ns: int  # by the wall clock
    id: str
    by: str
    target: Literal["alarm", "beat", "rhythm"]
    # the alarm's id, the beat's time_ns, the episode's start_ns; the at_ns at which a beat was inserted
    target_id: str
    at_ns: int  # position of the target in the stream, the new one if moved
    said: str  # the model's answer: kind or label; empty for an inserted beat
    verdict: Verdict
    label: str = ""  # the label, if relabelled, moved or inserted
    note: str = ""


JournalKind = Literal[
    "symptom",
    "note",
    "event",  # written by a person at the page
    "admitted",
    "transferred",
    "edited",
    "discharged",
    "device assigned",
    "device released",
]


class JournalEntry(msgspec.Struct, frozen=True, kw_only=True):
    """An event of a patient that is not in the signal: a symptom reported by the wearer, a note or
    event that a person has written, or a change of bed or device. Topic ecg.journal. Identity: (patient_id, time_ns, id).
    """

    schema: int = SCHEMA
    patient_id: str
    time_ns: int  # wall time; for a symptom, when the button was pressed
    id: str  # made by the sender; a repeated id counts once
    by: str  # a person's name, or the device that the wearer pressed
    kind: JournalKind
    text: str = ""
