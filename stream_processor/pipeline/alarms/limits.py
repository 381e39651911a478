"""Which alarm limits hold for each patient: the profile, with the patient's own limits on top."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import msgspec

from ingest.messages import Action
from stream_processor.pipeline.alarms.profiles import Profile, Profiles, with_limits

log = logging.getLogger(__name__)


class PatientLimits:
    """The limits in force, worked out once per patient and change."""

    def __init__(self, profiles: Profiles) -> None:
        self._profiles = profiles
        self._held: dict[str, Profile] = {}
        self._refused: tuple[str, Mapping[str, float]] | None = None  # reported last

    def __getitem__(self, patient_id: str) -> Profile:
        """The limits of a patient for whom `set` was called."""
        return self._held[patient_id]

    def set(self, patient_id: str, own: Mapping[str, float], given: str = "") -> Profile:
        """Work out a patient's limits from the profile, `given` by name or the file's, and the
        patient's own ones."""
        self._held[patient_id] = profile = self.combined(patient_id, own, given)
        return profile

    def forget(self, patient_id: str) -> None:
        """Forget the limits of a patient whose stream is closed."""
        self._held.pop(patient_id, None)

    def usable(self, action: Action, own: Mapping[str, float], given: str) -> Action:
        """Return the action, without its limits if they contradict the patient's profile: unusable
        limits must not undo those in force."""
        if action.action != "limits":
            return action
        base, wanted = self._profiles.of(action.patient_id, given), {**own, **action.limits}
        try:
            with_limits(base, wanted, base)
        except ValueError as error:
            log.warning("limits for %s cannot be used: %s", action.patient_id, error)
            return msgspec.structs.replace(action, limits={})
        return action

    def combined(self, patient_id: str, own: Mapping[str, float], given: str = "") -> Profile:
        """The patient's profile with these limits, or without them if they contradict it."""
        base = self._profiles.of(patient_id, given)
        try:
            return with_limits(base, own, base) if own else base
        except ValueError as error:
            if self._refused != (patient_id, own):  # asked twice a second
                log.warning("limits of %s are not used, its profile's hold: %s", patient_id, error)
                self._refused = patient_id, dict(own)
            return base
