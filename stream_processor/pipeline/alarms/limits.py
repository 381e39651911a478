"""Which alarm limits hold for each patient: the profile, with the patient's own limits on top."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from ingest.messages import Action, AlarmKind
from stream_processor.pipeline.alarms.profiles import Profile, Profiles, with_limits

log = logging.getLogger(__name__)


class BedsideOrders(NamedTuple):
    """What people have set for one patient, on top of the profiles file."""

    limits: Mapping[str, float] = {}
    switches: Mapping[AlarmKind, bool] = {}  # alarms that were switched on or off
    profile: str = ""  # name of the profile given at admission; "" for the file's


class PatientLimits:
    """The limits in force, worked out once per patient and change."""

    def __init__(self, profiles: Profiles) -> None:
        self._profiles = profiles
        self._held: dict[str, Profile] = {}
        self._refused: tuple[str, BedsideOrders] | None = None  # reported last

    def __getitem__(self, patient_id: str) -> Profile:
        """The limits of a patient for whom `set` was called."""
        return self._held[patient_id]

    def set(self, patient_id: str, own: BedsideOrders) -> Profile:
        """Work out a patient's limits from the profile, and the patient's own ones."""
        self._held[patient_id] = profile = self.combined(patient_id, own)
        return profile

    def forget(self, patient_id: str) -> None:
        """Forget the limits of a patient whose stream is closed."""
        self._held.pop(patient_id, None)

    def usable(self, action: Action, own: BedsideOrders) -> Action:
        """Return the action, without its limits and switches if they contradict the patient's
        profile: unusable ones must not undo those in force."""
        if action.action != "limits":
            return action
        base = self._profiles.of(action.patient_id, own.profile)
        wanted, switches = {**own.limits, **action.limits}, {**own.switches, **action.switches}
        try:
            with_limits(base, wanted, base, switches)
        except ValueError as error:
            log.warning("limits for %s cannot be used: %s", action.patient_id, error)
            return msgspec.structs.replace(action, limits={}, switches={})
        return action

    def combined(self, patient_id: str, own: BedsideOrders) -> Profile:
        """The patient's profile with these limits, or without them if they contradict it."""
        base = self._profiles.of(patient_id, own.profile)
        try:
            return with_limits(base, own.limits, base, own.switches)
        except ValueError as error:
            if self._refused != (patient_id, own):  # asked twice a second
                log.warning("limits of %s are not used, its profile's hold: %s", patient_id, error)
                self._refused = patient_id, own
            return base
