"""All patients that the monitor knows, in the order of the ward page, and the summary of the whole
ward."""

from __future__ import annotations

import re
from typing import NamedTuple

from dashboards.monitor.live.alarm_book import AlarmBook
from dashboards.monitor.live.bedside import Bedside, ReceivedOrders
from dashboards.monitor.live.refused_input import RefusedInputs
from dashboards.monitor.live.views import View, alarm_view, loudness, urgency
from ingest.clock import Clock
from ingest.messages import Orders
from ingest.registry.records import PersonRecord
from ingest.registry.state import Registry

FORGET_S = 3600.0  # who is not admitted leaves the ward an hour after the last message
_WORST = 6


class BoardSelection(NamedTuple):
    """Selection and order of patients; by default all of them in the order of their names."""

    search: str = ""
    alarm: str = ""  # priority, "technical" or "any"
    rhythm: str = ""
    urgent_first: bool = False
    pinned: frozenset[str] = frozenset()  # patients that come first
    only_pinned: bool = False

    def fits(self, bed: Bedside, person: PersonRecord | None = None) -> bool:
        """True if the patient is selected; `person` is the person admitted under this id, if
        known."""
        if self.only_pinned and bed.patient_id not in self.pinned:
            return False
        names = (bed.patient_id, *((person.name, person.bed) if person else ()))
        if self.search and not any(self.search.casefold() in n.casefold() for n in names):
            return False
        if self.rhythm and (bed.rhythm is None or bed.rhythm.label != self.rhythm):
            return False
        return not self.alarm or any(
            self.alarm in ("any", loudness(alarm)) for alarm in bed.alarms.standing()
        )


ANY = BoardSelection()


class Board:
    """Bedsides by patient, sorted as people sort bed names (bed 2 before bed 10)."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._beds: dict[str, Bedside] = {}
        self._order: list[str] = []
        self._numbers = 0
        self._orders: dict[str, ReceivedOrders] = {}  # also of patients who are not on the ward
        self._registry = Registry()
        self.revision = 0  # grows when a patient comes, goes or is renamed
        self.system = AlarmBook()  # alarms of the system itself, which belong to no patient
        self.refused = RefusedInputs()

    def __len__(self) -> int:
        return len(self._beds)

    def get(self, patient_id: str) -> Bedside | None:
        return self._beds.get(patient_id)

    def person(self, patient_id: str) -> PersonRecord | None:
        """The person admitted under this patient id, if any."""
        return self._registry.people.get(patient_id)

    def discharged(self, patient_id: str) -> bool:
        """True if the patient was here and has been discharged: messages that still arrive are
        old."""
        person = self._registry.people.get(patient_id)
        return person is not None and not person.present

    def _admitted(self, patient_id: str) -> bool:
        person = self._registry.people.get(patient_id)
        return person is not None and person.present

    def know(self, registry: Registry) -> list[str]:
        """Take the list of admitted people. Discharged patients leave the ward; admitted ones are
        on it, whether or not anything was heard of them. Returns who has come."""
        if registry is self._registry:
            return []
        self._registry = registry
        for patient_id in [id_ for id_ in self._beds if self.discharged(id_)]:
            del self._beds[patient_id]
        come = [id_ for id_ in registry.people if self._admitted(id_) and id_ not in self._beds]
        for patient_id in come:
            self.bed(patient_id, self._clock.steady_s())
        self._changed()
        return come

    def bed(self, patient_id: str, at_s: float) -> tuple[Bedside, bool]:
        """The patient's bedside, and True if it is new."""
        found = self._beds.get(patient_id)
        if found:
            return found, False
        self._numbers += 1
        self._beds[patient_id] = bed = Bedside(patient_id, self._numbers, at_s)
        bed.orders = self._orders.get(patient_id)
        self._changed()
        return bed, True

    def take_orders(self, orders: Orders, at_s: float) -> Bedside | None:
        """Take the orders in force for a patient; returns the bedside, if the patient is on the
        ward."""
        if orders.limits:
            self._orders[orders.patient_id] = ReceivedOrders(orders, at_s)
        else:  # no order is in force
            self._orders.pop(orders.patient_id, None)
        if (bed := self._beds.get(orders.patient_id)) is not None:
            bed.orders = self._orders.get(orders.patient_id)
        return bed

    def orders(self, patient_id: str) -> Orders | None:
        """The orders in force for a patient; None if there are none."""
        published = self._orders.get(patient_id)
        return published.orders if published else None

    def forget(self) -> list[str]:
        """Drop patients without any message for an hour, unless they are admitted; returns their
        names."""
        oldest = self._clock.steady_s() - FORGET_S
        gone = [
            id_
            for id_, bed in self._beds.items()
            if bed.last_s < oldest and not self._admitted(id_)
        ]
        for id_ in gone:
            del self._beds[id_]
        if gone:
            self._changed()
        return gone

    def page(
        self, offset: int, limit: int, wanted: BoardSelection = ANY
    ) -> tuple[int, list[Bedside]]:
        """(number of matching patients, those of this page)."""
        if not self._order:
            self._order = sorted(self._beds, key=self._place)
        beds = [bed for id_ in self._order if wanted.fits(bed := self._beds[id_], self.person(id_))]
        if wanted.urgent_first:
            beds.sort(key=_urgency)
        if wanted.pinned:  # a stable sort: each part keeps its order
            beds.sort(key=lambda bed: bed.patient_id not in wanted.pinned)
        return len(beds), beds[offset : offset + limit]

    def summary(self) -> View:
        """Counts of patients and standing alarms of the whole ward, also of patients that no page
        shows."""
        counts = {"high": 0, "medium": 0, "low": 0, "technical": 0}
        standing = []
        for bed in self._beds.values():
            for alarm in bed.alarms.standing():
                if alarm.acknowledged_ns is None:
                    counts[loudness(alarm)] += 1
                standing.append((urgency(alarm), bed.patient_id, alarm))
        system = self.system.standing()
        counts["technical"] += len(system)
        worst = sorted(standing, key=lambda item: item[:2])[:_WORST]
        return {
            "revision": self.revision,
            "patients": len(self._beds),
            "alarms": counts,
            "worst": [{"patient": id_, **alarm_view(alarm)} for _, id_, alarm in worst],
            "system": [alarm_view(alarm) for alarm in system],
            "refused": self.refused.view(self._clock.steady_s()),
        }

    def _place(self, patient_id: str) -> tuple[list[tuple[int, int | str]], str]:
        person = self.person(patient_id)
        return _by_name(person.bed if person and person.bed else patient_id)

    def _changed(self) -> None:
        self.revision += 1
        self._order = []


def _by_name(patient_id: str) -> tuple[list[tuple[int, int | str]], str]:
    parts = re.findall(r"\d+|\D+", patient_id.casefold())
    return [(0, int(part)) if part.isdecimal() else (1, part) for part in parts], patient_id


def _urgency(bed: Bedside) -> tuple[bool, tuple[bool, int, bool, bool, int] | None]:
    worst = bed.alarms.worst()
    return worst is None, urgency(worst) if worst else None
