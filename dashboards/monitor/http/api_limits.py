"""The endpoint for a patient's alarm limits and profile."""

from __future__ import annotations

from starlette.responses import Response

from dashboards.monitor.http import schemas
from dashboards.monitor.http.api_request import ApiRequest, json_answer
from dashboards.monitor.http.endpoint import Endpoint, ResponseSpec
from dashboards.monitor.live.limits import limits_view, switches_view
from ingest.messages import Orders
from stream_processor.pipeline.alarms.profiles import Profile


def base_profile(ask: ApiRequest, orders: Orders | None) -> Profile:
    """The profile given to the patient at admission, from the registry or else from the processor;
    without one, the profile of the profiles file."""
    person = ask.parts.registry().people.get(ask.patient)
    given = person.profile if person else orders.profile if orders else ""
    return ask.parts.profiles.of(ask.patient, given)


async def _limits(ask: ApiRequest) -> Response:
    orders = ask.parts.hub.board.orders(ask.patient)
    base = base_profile(ask, orders)
    person, profiles = ask.parts.registry().people.get(ask.patient), ask.parts.profiles
    return json_answer(
        {
            "fields": limits_view(orders, base),
            "alarms": switches_view(orders, base),
            "profile": orders.profile if orders else person.profile if person else "",
            "file_profile": profiles.name_of(ask.patient),
            "profiles": profiles.names,
            "admitted": bool(person and person.present),
        }
    )


_LIMIT = schemas.object_schema(
    {
        "name": schemas.TEXT,
        "group": schemas.TEXT,
        "label": schemas.TEXT,
        "unit": schemas.TEXT,
        "above": schemas.many(schemas.TEXT),
        "below": schemas.many(schemas.TEXT),
        "low": {"type": "number"},
        "high": {"type": "number"},
        "value": {"type": "number"},
        "default": {"type": "number"},
        "changed": schemas.TIME_OR_NULL,
        "by": schemas.TEXT,
    }
)
_SWITCH = schemas.object_schema(
    {
        "kind": schemas.KIND,
        "group": schemas.TEXT,
        "name": schemas.TEXT,
        "priority": schemas.PRIORITY,
        "on": {"type": "boolean"},
        "default": {"type": "boolean", "description": "whether the profile has it on"},
        "always": {"type": "boolean", "description": "cannot be switched off"},
        "changed": schemas.TIME_OR_NULL,
        "by": schemas.TEXT,
    }
)
ENDPOINTS = (
    Endpoint(
        "GET",
        "/api/patients/{patient}/limits",
        "view",
        _limits,
        "The alarm limits that hold, and the alarms that are on",
        ResponseSpec(
            'every limit; the profile that holds, "" for that of the profiles file; those there are; every alarm, on or off',
            schemas.object_schema(
                {
                    "fields": schemas.many(_LIMIT),
                    "alarms": schemas.many(_SWITCH),
                    "profile": schemas.TEXT,
                    "file_profile": schemas.TEXT,
                    "profiles": schemas.many(schemas.TEXT),
                    "admitted": {"type": "boolean"},
                }
            ),
        ),
        errors=(503,),
    ),
)
