"""What people did about one patient's alarms, as far as the monitor knows it: from the store, and
from ecg.acks since."""

from __future__ import annotations

from collections.abc import Iterable

from ingest.messages import Action

KEPT = 500


class ActionLog:
    """The newest actions of a patient, each once, in the order they were taken."""

    def __init__(self) -> None:
        self._actions: dict[tuple[int, str], Action] = {}

    def put(self, action: Action) -> bool:
        """Take an action; False where it is a repeat."""
        if (action.time_ns, action.id) in self._actions:
            return False
        self.load([action])
        return True

    def load(self, actions: Iterable[Action]) -> None:
        """Add what the store knows."""
        self._actions |= {(action.time_ns, action.id): action for action in actions}
        self._actions = dict(sorted(self._actions.items())[-KEPT:])

    def all(self) -> list[Action]:
        """Oldest first."""
        return list(self._actions.values())
