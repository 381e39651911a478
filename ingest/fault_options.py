"""Faults as a user writes them on the command line (--fault NAME:VALUES), parsed and checked."""

from __future__ import annotations

import math
from typing import NamedTuple

from ingest.errors import BadInputError

# the form of each fault, as help and errors show it
FORMS = {
    "drop": "drop:P - each chunk is lost with probability P",
    "duplicate": "duplicate:P - each chunk is sent twice with probability P",
    "reorder": "reorder:P - each chunk arrives after the next one with probability P",
    "delay": "delay:SECONDS[:P] - each chunk arrives SECONDS late with probability P (default 1)",
    "drift": "drift:PPM - the device's clock runs fast by PPM parts per million",
    "lead-off": "lead-off:FROM-TO - flat and flagged between these seconds of the stream",
    "disconnect": "disconnect:FROM-TO - chunks that touch these seconds of the stream are lost",
    "battery": "battery:FROM-TO - the device reports an all but empty battery between these seconds",
    "device": "device:FROM-TO - the device reports a fault between these seconds",
    "noise": "noise:RECORD:SNR - noise of a record (nstdb/em) at SNR dB",
}
# faults whose value is a span of the stream, FROM-TO in seconds
SPANS = ("lead-off", "disconnect", "battery", "device")


class FaultSpec(NamedTuple):
    """A parsed fault."""

    name: str  # a key of FORMS
    numbers: tuple[float, ...]  # its values, in the order and the units of its form
    record: str = ""  # of noise


def parse(text: str) -> FaultSpec:
    """Parse the text of a --fault option. Raises BadInputError that names the fault and shows its
    form."""
    name, _, rest = text.partition(":")
    if name not in FORMS:
        raise BadInputError(
            f"--fault {text}: there is no fault {name!r}",
            "Faults are:\n  " + "\n  ".join(FORMS.values()),
        )
    try:
        return _parse_numbers(name, rest)
    except ValueError as error:
        raise BadInputError(f"--fault {text}: {error}", f"Write {FORMS[name]}.") from error


def _parse_numbers(name: str, rest: str) -> FaultSpec:
    if name == "noise":
        record, _, snr = rest.rpartition(":")
        if not record:
            raise ValueError("needs a record and a signal-to-noise ratio")
        return FaultSpec(name, (_number(snr),), record)
    if name in SPANS:
        begin, _, end = rest.partition("-")
        span = (_number(begin), _number(end))
        if not 0 <= span[0] < span[1]:
            raise ValueError("its span must end after it begins")
        return FaultSpec(name, span)
    numbers = tuple(_number(n) for n in rest.split(":"))
    if len(numbers) > (2 if name == "delay" else 1):
        raise ValueError("has too many values")
    probabilities = {"delay": numbers[1:], "drift": ()}.get(name, numbers)
    if any(not 0 <= p <= 1 for p in probabilities):
        raise ValueError("a probability lies between 0 and 1")
    if name == "delay" and numbers[0] < 0:
        raise ValueError("a delay is not negative")
    return FaultSpec(name, numbers)


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a number") from None
    if not math.isfinite(value):
        raise ValueError(f"{text!r} is not a number")
    return value
