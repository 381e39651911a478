"""The event store opened for a command, and warnings about patients that it does not know."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer

from ecgwatch import settings
from ecgwatch.stores import missing_file, open_sink
from ingest.errors import BadInputError, UnreachableError
from ingest.messages import Alarm
from stream_processor.sinks.base import Sink, SinkBusyError


@contextmanager
def opened_store(chosen: settings.Settings, *, needed: bool = True) -> Iterator[Any]:
    """Open the store that the settings name, and close it at the end.

    Yields None if there is no store yet and it is not `needed`. Raises BadInputError if a needed
    store is missing, UnreachableError if it cannot be read.
    """
    missing = missing_file(chosen)
    if missing and needed:
        raise BadInputError(
            f"no alarms yet: {missing.absolute()} is not there",
            "Process something into it first, or name another --sink.",
        )
    store = None if missing else open_sink(chosen)
    try:
        yield store
    except SinkBusyError as error:
        raise UnreachableError("the store cannot be read", str(error)) from error
    finally:
        if store is not None:
            store.close()


def warn_in_store_if_unknown(chosen: settings.Settings, patient: str) -> None:
    """Warn on stderr if there is a store and it does not know the patient."""
    with opened_store(chosen, needed=False) as store:
        if store is not None:
            warn_if_unknown(store, patient)


def warn_if_unknown(store: Sink, patient: str) -> None:
    """Warn on stderr if this store does not know the patient."""
    names = store.patients()
    if patient not in names:
        some = (
            f"It knows {', '.join(names[:10])}{', ...' if len(names) > 10 else ''}."
            if names
            else "It is empty."
        )
        warn(f"the store knows no patient {patient!r}. {some}")


def unanswered(store: Sink | None, patient: str) -> list[Alarm]:
    """Return the patient's alarms that stand and that nobody has acknowledged, oldest first; none
    without a store."""
    if store is None:
        return []
    warn_if_unknown(store, patient)
    return [a for a in store.read(Alarm, patient) if a.standing and a.acknowledged_ns is None]


def warn(text: str) -> None:
    """Print a warning on stderr."""
    typer.echo(f"warning: {text}", err=True)
