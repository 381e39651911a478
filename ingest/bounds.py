"""The bounds on what may be sent: one place, used by every side that sends or receives.

Who calls what:

- the codec (`ingest.messages.decode`, so the stream processor and the scorer): `chunk_problems`,
  `reference_problems`, `action_problems`, `edit_problems`; a message with a problem goes to the
  dead-letter topic with the reason.
- `ingest.producer.Producer.send` (so `replay`, `simulate`, a gateway): the same two, and
  `jump_problem`; raises BadInputError before anything is sent.
- `ingest.replay.check_stream`: `stream_problems`, before a broker is asked for.
- a server that takes chunks from devices: `chunk_problems` and `jump_problem`; `Problem.field` is
  the name of the message's field, for an answer 422.
- whoever takes a name from a person (patient, device, recipient): `name_problem`.

Each function returns what is wrong, all of it, and nothing if the value is good; none raises. NaN
and infinity fail every bound. Times are nanoseconds since the Unix epoch; sample numbers count from
the start of the stream.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import isfinite
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from ingest.messages import Action, Edit, Reference, SampleChunk

MIN_FS_HZ, MAX_FS_HZ = 100.0, 1000.0
RR_LEAD, RR_FS_HZ = "RR", 100.0  # of a strap without a trace (messages/rr_channel.py)
MIN_COUNTS_PER_MV, MAX_COUNTS_PER_MV = 0.01, 1e9
# whose alarms are the system's own and no patient's (stream_processor/system_alarms.py)
SYSTEM = "(ecgwatch)"
MAX_NAME = 128  # characters of a patient id, a device id or a lead
MAX_FAULT = 200  # characters
MAX_SYMBOL, MAX_AUX = 16, 2000  # characters; WFDB's are up to 3 and 255
MAX_BY, MAX_NOTE, MAX_ID = 64, 2000, 400  # characters of who signs, a note, an id
MAX_SILENCE_S = 24 * 3600.0
MAX_LIMITS = 64  # in one action
MAX_CHUNK_S = 60.0
MAX_STREAM_S = 10 * 366 * 24 * 3600.0
MAX_JUMP_S = 3600.0  # a stream that goes on later than this after its last sample must begin anew
MAX_SEQ = 2**53
# the year 2200: what follows from a chunk still fits into 63 bits
MAX_TIME_NS = 230 * 366 * 24 * 3600 * 10**9


class FieldProblem(NamedTuple):
    """A problem with one field of a message."""

    field: str
    reason: str

    def __str__(self) -> str:
        return f"{self.field} {self.reason}"


def chunk_problems(chunk: SampleChunk) -> list[FieldProblem]:
    """Return the problems that make a chunk unusable, whatever came before it."""
    c, n = chunk, len(chunk.samples)
    checks = (
        *_name_checks("patient_id", c.patient_id),
        (c.patient_id != SYSTEM, "patient_id", f"is {SYSTEM}, which stands for no patient"),
        *_name_checks("device_id", c.device_id, required=False),
        *_name_checks("lead", c.lead, required=False),
        *_signal_checks(c.fs_hz, c.counts_per_mv),
        (c.lead != RR_LEAD or c.fs_hz == RR_FS_HZ, "fs_hz", "{c.fs_hz} is not the 100 of lead RR"),
        (0 <= c.seq <= MAX_SEQ, "seq", "{c.seq} is negative or beyond 2^53"),
        (c.first_sample >= 0, "first_sample", "{c.first_sample} is negative"),
        (
            c.first_sample <= MAX_STREAM_S * c.fs_hz,
            "first_sample",
            "{c.first_sample} is more than ten years into the stream",
        ),
        (0 <= c.t0_ns < MAX_TIME_NS, "t0_ns", "{c.t0_ns} is outside the years 1970-2200"),
        (n % 2 == 0, "samples", "are not whole int16 values"),
        (n <= 2 * MAX_CHUNK_S * c.fs_hz, "samples", "are more than 60 s of signal"),
        (n > 0 or c.end, "samples", "are missing: no samples in a chunk that is not the last"),
        (c.battery is None or 0 <= c.battery <= 1, "battery", "{c.battery} is outside 0-1"),
        (len(c.fault) <= MAX_FAULT, "fault", f"is longer than {MAX_FAULT} characters"),
        (c.fault.isprintable(), "fault", "holds characters that cannot be printed"),
    )
    return [FieldProblem(field, reason.format(c=c)) for good, field, reason in checks if not good]


def reference_problems(note: Reference) -> list[FieldProblem]:
    """Return the problems that make a reference annotation unusable."""
    checks = (
        *_name_checks("patient_id", note.patient_id),
        (0 <= note.time_ns < MAX_TIME_NS, "time_ns", "{c.time_ns} is outside the years 1970-2200"),
        (
            0 <= note.sample <= MAX_STREAM_S * MAX_FS_HZ,
            "sample",
            "{c.sample} is negative or more than ten years into the stream",
        ),
        (len(note.symbol) <= MAX_SYMBOL, "symbol", f"is longer than {MAX_SYMBOL} characters"),
        (len(note.aux) <= MAX_AUX, "aux", f"is longer than {MAX_AUX} characters"),
    )
    return [
        FieldProblem(field, reason.format(c=note)) for good, field, reason in checks if not good
    ]


def action_problems(action: Action) -> list[FieldProblem]:
    """Return the problems that make an action unusable. Names and ranges of alarm limits are not
    checked: only the processor knows them, and it ignores limits that it cannot use."""
    a = action
    silence_s = a.seconds if a.seconds is not None else 0.0
    checks = (
        *_name_checks("patient_id", a.patient_id),
        *_signed_checks(a),
        (len(a.alarm_id) <= MAX_ID, "alarm_id", f"is longer than {MAX_ID} characters"),
        (0 <= silence_s <= MAX_SILENCE_S, "seconds", "{c.seconds} is outside 0 to 86400"),
        (
            a.action != "silence" or a.seconds is not None,
            "seconds",
            "is missing: a silence needs an end",
        ),
        (len(a.limits) <= MAX_LIMITS, "limits", f"are more than {MAX_LIMITS}"),
        (
            all(len(name) <= MAX_NAME for name in a.limits),
            "limits",
            f"hold a name longer than {MAX_NAME} characters",
        ),
        (
            all(value is None or isfinite(value) for value in a.limits.values()),
            "limits",
            "hold a value that is no finite number",
        ),
    )
    return [FieldProblem(field, reason.format(c=a)) for good, field, reason in checks if not good]


def edit_problems(edit: Edit) -> list[FieldProblem]:
    """Return the problems that make an edit unfit to be stored."""
    checks = (
        *_name_checks("patient_id", edit.patient_id),
        *_signed_checks(edit),
        (len(edit.target_id) <= MAX_ID, "target_id", f"is longer than {MAX_ID} characters"),
        (0 <= edit.at_ns < MAX_TIME_NS, "at_ns", "{c.at_ns} is outside the years 1970-2200"),
        (len(edit.said) <= MAX_NAME, "said", f"is longer than {MAX_NAME} characters"),
        (len(edit.label) <= MAX_NAME, "label", f"is longer than {MAX_NAME} characters"),
    )
    return [
        FieldProblem(field, reason.format(c=edit)) for good, field, reason in checks if not good
    ]


def stream_problems(
    *, patient_id: str, device_id: str, lead: str, fs_hz: float, counts_per_mv: float, start_ns: int
) -> list[FieldProblem]:
    """Return the problems of a stream before any of its chunks is made; `start_ns` is the time of
    its sample 0."""
    checks = (
        *_name_checks("patient_id", patient_id),
        *_name_checks("device_id", device_id, required=False),
        *_name_checks("lead", lead, required=False),
        *_signal_checks(fs_hz, counts_per_mv),
        (0 <= start_ns < MAX_TIME_NS, "start_time", "is outside the years 1970-2200"),
    )
    found = _Signal(fs_hz, counts_per_mv)
    return [
        FieldProblem(field, reason.format(c=found)) for good, field, reason in checks if not good
    ]


def jump_problem(next_sample: int, chunk: SampleChunk) -> FieldProblem | None:
    """Whether a chunk lies too far ahead of its stream, whose next sample should be `next_sample`
    (0 before the first chunk).

    Who receives such a chunk begins a new stream with it; who sends begins a new stream, with
    first_sample 0, instead.
    """
    ahead_s = (chunk.first_sample - next_sample) / chunk.fs_hz
    if ahead_s <= MAX_JUMP_S:
        return None
    return FieldProblem(
        "first_sample",
        f"{chunk.first_sample} is {ahead_s:.0f} s ahead of the stream; at most {MAX_JUMP_S:g} s can be missing",
    )


def name_problem(field: str, text: str, *, required: bool = True) -> FieldProblem | None:
    """Whether a text can be no patient id, device id or lead.

    Such a name has at most MAX_NAME characters, all of them printable (blanks and every script are;
    control characters, line ends and lone surrogates are not), does not begin or end with a blank,
    and is not "." or "..". An empty one is refused if it is `required`.
    """
    return next(
        (
            FieldProblem(name, reason)
            for good, name, reason in _name_checks(field, text, required=required)
            if not good
        ),
        None,
    )


def sentence(problems: Iterable[FieldProblem]) -> str:
    """Join the problems into one line."""
    return "; ".join(map(str, problems))


class _Signal(NamedTuple):
    fs_hz: float
    counts_per_mv: float


_DOTS = (".", "..")
# (is it good, field, reason if not; {c} is the message)
_Checks = tuple[tuple[bool, str, str], ...]


def _name_checks(field: str, text: str, *, required: bool = True) -> _Checks:
    if (
        0 < len(text) <= MAX_NAME
        and text.isprintable()
        and " " not in (text[0], text[-1])
        and text not in _DOTS
    ):
        return ()  # asked of every chunk three times
    if len(text) > MAX_NAME:  # nothing more is asked of a text of any length
        return ((False, field, f"is longer than {MAX_NAME} characters"),)
    return (
        (bool(text) or not required, field, "is empty"),
        (text.isprintable(), field, "holds characters that cannot be printed"),
        (text == text.strip(), field, "begins or ends with a blank"),
        (text not in _DOTS, field, "is . or .., which no address of a page can hold"),
    )


def _signed_checks(message: Action | Edit) -> _Checks:
    """Checks that all messages of people share: time, id, author, note."""
    m = message
    return (
        (0 <= m.time_ns < MAX_TIME_NS, "time_ns", "{c.time_ns} is outside the years 1970-2200"),
        (0 < len(m.id) <= MAX_ID, "id", f"is empty or longer than {MAX_ID} characters"),
        (len(m.by) <= MAX_BY, "by", f"is longer than {MAX_BY} characters"),
        (len(m.note) <= MAX_NOTE, "note", f"is longer than {MAX_NOTE} characters"),
    )


def _signal_checks(fs_hz: float, counts_per_mv: float) -> _Checks:
    return (
        (MIN_FS_HZ <= fs_hz <= MAX_FS_HZ, "fs_hz", "{c.fs_hz} is outside 100-1000"),
        (
            MIN_COUNTS_PER_MV <= counts_per_mv <= MAX_COUNTS_PER_MV,
            "counts_per_mv",
            "{c.counts_per_mv} is outside 0.01-1e9",
        ),
    )
