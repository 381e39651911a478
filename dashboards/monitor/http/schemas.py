"""JSON schemas that several endpoints share."""

from __future__ import annotations

from typing import Any, get_args

from ingest.messages import AlarmKind, BeatLabel, JournalKind, Priority, RhythmLabel

Schema = dict[str, Any]
Query = tuple[str, bool, Schema, str]

TIME: Schema = {"type": "number", "description": "milliseconds since the Unix epoch"}
TIME_OR_NULL: Schema = {
    "type": ["number", "null"],
    "description": "milliseconds since the Unix epoch",
}
NUMBER_OR_NULL: Schema = {"type": ["number", "null"]}
TEXT: Schema = {"type": "string"}
KIND: Schema = {"enum": [*get_args(AlarmKind)]}
PRIORITY: Schema = {"enum": [*get_args(Priority)]}
BY: Schema = {
    "type": "string",
    "minLength": 1,
    "maxLength": 64,
    "description": "who does it; whoever is signed in, where tokens are needed",
}
NOTE: Schema = {"type": "string", "maxLength": 500}


def object_schema(properties: dict[str, Schema], required: tuple[str, ...] | None = None) -> Schema:
    """Schema of an object; all its properties are required unless `required` names some."""
    return {
        "type": "object",
        "required": list(properties if required is None else required),
        "properties": properties,
    }


def many(item: Schema) -> Schema:
    """Schema of an array."""
    return {"type": "array", "items": item}


def period(longest: str) -> tuple[Query, ...]:
    """`from` and `to`."""
    return (
        (
            "from",
            True,
            {"type": "number", "minimum": 0},
            "begin, milliseconds since the Unix epoch",
        ),
        (
            "to",
            True,
            {"type": "number", "minimum": 0},
            f"end, not included; at most {longest} after the begin",
        ),
    )


ALARM = object_schema(
    {
        "id": TEXT,
        "kind": KIND,
        "priority": PRIORITY,
        "technical": {"type": "boolean"},
        "onset": TIME,
        "raised": TIME,
        "end": TIME_OR_NULL,
        "over": {"type": "boolean"},
        "latching": {"type": "boolean"},
        "announced": {"type": "boolean"},
        "standing": {"type": "boolean"},
        "step": TEXT,
        "changed": TIME,
        "level": {"type": "integer"},
        "acknowledged": TIME_OR_NULL,
        "acknowledged_by": TEXT,
        "silenced_until": TIME_OR_NULL,
        "value": NUMBER_OR_NULL,
        "limit": NUMBER_OR_NULL,
        "text": TEXT,
        "late_s": {
            "type": "number",
            "description": "told so many seconds after its signal; 0: in time",
        },
    }
)
BEAT = object_schema(
    {
        "id": TEXT,
        "t": TIME,
        "label": {"enum": [*get_args(BeatLabel)]},
        "rr": {**NUMBER_OR_NULL, "description": "ms to the beat before"},
        "confidence": {"type": "number"},
        "probability": {"type": "number"},
    }
)
EPISODE = object_schema(
    {
        "id": TEXT,
        "start": TIME,
        "end": TIME,
        "label": {"enum": [*get_args(RhythmLabel)]},
        "probability": {"type": "number"},
        "reason": {"type": "string", "description": "why nothing can be said of the rhythm"},
    }
)
FINDING = object_schema(
    {
        "start": TIME,
        "end": TIME,
        "task": TEXT,
        "label": TEXT,
        "probability": {"type": "number"},
        "model": TEXT,
    }
)
JOURNAL_ENTRY = object_schema(
    {
        "id": TEXT,
        "t": TIME,
        "by": TEXT,
        "kind": {"enum": [*get_args(JournalKind)]},
        "text": TEXT,
        "rhythm": many({"enum": [*get_args(RhythmLabel)]}),
    }
)
ACTION = object_schema(
    {
        "id": TEXT,
        "t": TIME,
        "by": TEXT,
        "action": TEXT,
        "alarm": TEXT,
        "kind": TEXT,
        "seconds": NUMBER_OR_NULL,
        "limits": {"type": "object", "additionalProperties": NUMBER_OR_NULL},
        "switches": {"type": "object", "additionalProperties": {"type": ["boolean", "null"]}},
        "note": TEXT,
    }
)
EDIT = object_schema(
    {
        "id": TEXT,
        "t": TIME,
        "by": TEXT,
        "target": TEXT,
        "target_id": TEXT,
        "at": TIME,
        "said": TEXT,
        "verdict": TEXT,
        "label": TEXT,
        "note": TEXT,
    }
)
