"""Which channel of a file is the ECG."""

from __future__ import annotations

from collections.abc import Sequence

from ingest.errors import BadInputError


def choose(
    names: Sequence[str], units: Sequence[str], wanted: str | int | None, *, record: str
) -> int:
    """Index of the wanted channel (name, whatever its case, or index from 0).

    Where none is wanted: the first channel whose name or unit says ECG, else the first. Raises
    BadInputError naming the channels there are.
    """
    if not names:
        raise BadInputError(f"{record}: has no signals", "Choose a record with an ECG.")
    if wanted is None:
        said = (
            i
            for i, (name, unit) in enumerate(zip(names, units, strict=True))
            if "ECG" in f"{name} {unit}".upper()
        )
        return next(said, 0)
    lower = [name.lower() for name in names]
    if str(wanted).lower() in lower:
        return lower.index(str(wanted).lower())
    if str(wanted).isdigit() and int(wanted) < len(names):
        return int(wanted)
    there = ", ".join(f"{i} {name}" for i, name in enumerate(names))
    raise BadInputError(f"{record}: has no channel {wanted!r}", f"Its channels are: {there}.")
