"""Interface and base classes of the stages of the data path: many patients as arrays, one row each.

A stage is opened per patient and pushed per slice: one `push` handles every patient that is due.
All stages obey the same tested laws (tests/contract/test_stages.py): any split of a record into
chunks gives the same result as one push; patients together give the same result as each alone;
inputs are not mutated; a restored snapshot goes on exactly as the original; rows are reused
cleanly.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, NamedTuple, Protocol, TypeVar, cast

import msgspec
import numpy as np
import numpy.typing as npt

STILL = 1  # the raw samples did not change at all
LEAD_OFF = 2  # the device reports an electrode off

Rows = npt.NDArray[np.intp]
State = dict[str, Any]  # plain data: numbers, strings, bytes, lists


class Slab(NamedTuple):
    """Consecutive conditioned samples, equally many for each of several rows: the unit that signal
    stages pass on."""

    rows: Rows  # (B,)
    # (B,) index of the first value since the start of the stream, at 125 Hz
    start: npt.NDArray[np.int64]
    values: npt.NDArray[np.float32]  # (B, n) mV
    # (B, ceil(n / 5)) STILL and LEAD_OFF of each block of five samples
    flags: npt.NDArray[np.uint8]
    base: npt.NDArray[np.float32]  # (B, ceil(n / 5)) mV, mean of each block before the high-pass


class Field(NamedTuple):
    """One array of a Table: its dtype, the shape of one row, and the value of a fresh row."""

    dtype: Any
    shape: tuple[int, ...] = ()
    fresh: float = 0


In = TypeVar("In", contravariant=True)
Out = TypeVar("Out", covariant=True)


class Stage(Protocol[In, Out]):
    """The interface of a stage."""

    def open(self, patient: str, fs: float) -> int:
        """Take a row for a patient whose stream is sampled at fs Hz."""
        ...

    def push(self, batch: In) -> Out:
        """Process one slice."""
        ...

    def flush(self, rows: Rows) -> Out:
        """Return the output that these rows have not emitted yet, as at the end of a stream or
        before a gap."""
        ...

    def restart(self, row: int, sample: int) -> int:
        """Go on after a gap at `sample`, the next sample of the stage's input.

        Returns the next sample of its output, which is the same unless the stage resamples.
        """
        ...

    def close(self, row: int) -> None:
        """Free the row for another patient."""
        ...

    def snapshot(self, row: int) -> State:
        """Return everything that the row remembers, as plain data."""
        ...

    def restore(self, row: int, state: State) -> None:
        """Set an open row to what `snapshot` returned."""
        ...


class _Rows:
    """Allocates row numbers. Two allocators that take and free in the same order give the same
    numbers."""

    def __init__(self) -> None:
        self._free: list[int] = []
        self.capacity = 0

    def take(self) -> int:
        """A free row; `capacity` may have grown."""
        if not self._free:
            extra = max(16, self.capacity)
            self._free = list(range(self.capacity + extra - 1, self.capacity - 1, -1))
            self.capacity += extra
        return self._free.pop()

    def give(self, row: int) -> None:
        """Free the row."""
        self._free.append(row)


class Table:
    """Arrays with one row per patient, which grow, are reused, and go to plain data and back.
    Attributes are the fields' names."""

    def __init__(self, **fields: Field) -> None:
        self._fields: Mapping[str, Field] = fields
        self._numbers = _Rows()
        for name, field in fields.items():
            setattr(self, name, np.empty((0, *field.shape), dtype=field.dtype))

    # only for type checkers: fields are set in __init__
    def __getattr__(self, name: str) -> npt.NDArray[Any]:
        raise AttributeError(name)

    def open(self) -> int:
        """Take a fresh row."""
        row = self._numbers.take()
        for name, field in self._fields.items():
            held = self.__dict__[name]
            if missing := self._numbers.capacity - len(held):
                held = np.concatenate([held, np.empty((missing, *field.shape), dtype=field.dtype)])
                setattr(self, name, held)
            held[row] = field.fresh
        return row

    def close(self, row: int) -> None:
        """Free a row."""
        self._numbers.give(row)

    def snapshot(self, row: int) -> State:
        """Return the row as plain data: scalars as numbers, arrays as bytes."""
        values = {name: self.__dict__[name][row] for name in self._fields}
        return {name: v.tobytes() if v.ndim else v.item() for name, v in values.items()}

    def restore(self, row: int, state: State) -> None:
        """Set the row to a snapshot. Raises ValueError if its fields differ from the table's."""
        if state.keys() != self._fields.keys():
            raise ValueError(f"state has fields {sorted(state)}, expected {sorted(self._fields)}")
        for name, field in self._fields.items():
            value = state[name]
            self.__dict__[name][row] = (
                np.frombuffer(value, field.dtype).reshape(field.shape) if field.shape else value
            )


class ArrayStage:
    """Base of stages whose state is a Table; a gap changes nothing unless `restart` is
    overridden."""

    def __init__(self, **fields: Field) -> None:
        self._rows = Table(**fields)

    def open(self, patient: str, fs: float) -> int:
        """Take a fresh row."""
        return self._rows.open()

    def restart(self, row: int, sample: int) -> int:
        """Go on after a gap; the row's state stays."""
        return sample

    def close(self, row: int) -> None:
        """Free the row."""
        self._rows.close(row)

    def snapshot(self, row: int) -> State:
        """Return the row as plain data."""
        return self._rows.snapshot(row)

    def restore(self, row: int, state: State) -> None:
        """Set the row to a snapshot."""
        self._rows.restore(row, state)


S = TypeVar("S", bound=msgspec.Struct)


class StructStage(Generic[S]):
    """Base of stages with one msgspec Struct of state per row; a gap changes nothing unless
    `restart` is overridden."""

    def __init__(self, state: type[S]) -> None:
        self._type = state
        self._numbers = _Rows()
        self._state: dict[int, S] = {}

    def open(self, patient: str, fs: float) -> int:
        """Take a fresh row."""
        row = self._numbers.take()
        self._state[row] = self._type()
        return row

    def restart(self, row: int, sample: int) -> int:
        """Go on after a gap; the row's state stays."""
        return sample

    def close(self, row: int) -> None:
        """Free a row."""
        del self._state[row]
        self._numbers.give(row)

    def snapshot(self, row: int) -> State:
        """Return the row's state as plain data."""
        return cast(State, msgspec.to_builtins(self._state[row]))

    def restore(self, row: int, state: State) -> None:
        """Set the row to a snapshot. Raises ValueError if it is not a snapshot of this stage."""
        if state.keys() != set(self._type.__struct_encode_fields__):
            raise ValueError(f"state has fields {sorted(state)}, not {self._type.__name__}'s")
        self._state[row] = msgspec.convert(state, self._type)
