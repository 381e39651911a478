"""A patient's standing alarms and people's orders about them: plain data, as stored in a
snapshot."""

from __future__ import annotations

import msgspec

from ingest.messages import Acknowledgement, Alarm, AlarmKind, LimitChange, Switch

ANY = ""  # silence: alarms of any kind


class Standing(msgspec.Struct):
    """An alarm that holds or is latched."""

    alarm: Alarm
    called_ns: int  # when it last called, or was acknowledged
    over: bool = False  # it has ended, or its stream has


class PatientAlarms(msgspec.Struct):
    """Standing alarms and orders of one patient, with an open stream or without."""

    standing: dict[str, Standing] = {}  # by alarm id, oldest first
    silenced: dict[str, int] = {}  # kind, or ANY, to the end of the silence
    limits: dict[str, float] = {}  # the patient's own, on top of the profile
    profile: str = ""  # the name of the one that was given at admission; "" for the file's
    now_ns: int = 0
    # by partition: actions before this place have been taken
    acted: dict[int, int] = {}
    # the newest acknowledgements by alarm id, also of alarms that are not there (yet)
    acknowledged: dict[str, Acknowledgement] = {}
    changed: dict[str, LimitChange] = {}  # who set which of the limits
    switched: dict[AlarmKind, Switch] = {}  # alarms that were switched on or off at the bedside
    told_ns: int = 0  # when the orders were last published, by the patient's time
