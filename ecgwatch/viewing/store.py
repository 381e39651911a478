"""The stores of several records as one that the monitor reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from ecgwatch.viewing.annotated import open_store
from ingest.messages import Stored
from stream_processor.sinks.base import FOREVER_NS, E
from stream_processor.sinks.refusals import RefusedEvent


class RecordStores:
    """A Sink over the store of each record; a patient is a record."""

    def __init__(self, paths: Mapping[str, Path]) -> None:
        self._stores = {name: open_store(path) for name, path in paths.items()}

    def add(self, event: Stored) -> None:
        self._stores[event.patient_id].add(event)

    def flush(self) -> None:
        for store in self._stores.values():
            store.flush()

    @property
    def pending(self) -> int:
        return sum(store.pending for store in self._stores.values())

    def take_refused(self) -> list[RefusedEvent]:
        return [one for store in self._stores.values() for one in store.take_refused()]

    def patients(self) -> list[str]:
        return sorted(self._stores)

    def read(
        self, kind: type[E], patient_id: str, start_ns: int = 0, end_ns: int = FOREVER_NS
    ) -> Iterator[E]:
        store = self._stores.get(patient_id)
        return iter(()) if store is None else store.read(kind, patient_id, start_ns, end_ns)

    def check(self) -> str:
        return f"{len(self._stores)} records"

    def close(self) -> None:
        for store in self._stores.values():
            store.close()
