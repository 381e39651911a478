"""People's actions on one patient's alarms that the monitor knows: those of the store and later
ones of ecg.acks."""

from __future__ import annotations

from collections.abc import Iterable

from ingest.messages import Action

KEPT = 500


class ActionLog:
    """The newest actions of a patient, each once, in the order they were taken."""

    def __init__(self) -> None:
        self._actions: dict[tuple[int, str], Action] = {}

    def put(self, action: Action) -> bool:
        """Add an action; False if it is a repeat."""
        if (action.time_ns, action.id) in self._actions:
            return False
        self.load([action])
        return True

    def load(self, actions: Iterable[Action]) -> None:
        """Add actions read from the store."""
        self._actions |= {(action.time_ns, action.id): action for action in actions}
        self._actions = dict(sorted(self._actions.items())[-KEPT:])

    def all(self) -> list[Action]:
        """All actions, oldest first."""
        return list(self._actions.values())
