"""Endpoints for devices and people, for admins: the page's counterpart of `ecgwatch devices` and
`ecgwatch patients`."""

from __future__ import annotations

import asyncio
from typing import Any, Literal

import msgspec
import segno
from starlette.responses import Response

from dashboards.monitor.http import schemas
from dashboards.monitor.http.api_actions import signed
from dashboards.monitor.http.api_request import ApiRequest, json_answer
from dashboards.monitor.http.endpoint import Endpoint, ResponseSpec
from dashboards.monitor.live.views import ms
from ingest.errors import BadInputError, EcgwatchError, RefusedError
from ingest.registry import steps
from ingest.registry.state import Registry
from ingest.registry.step import Author, Steps

Step = Literal[
    "admit", "transfer", "edit", "discharge", "add device", "assign", "release", "revoke"
]
MAX_CODE = 500  # characters of a QR code


class _Body(msgspec.Struct, forbid_unknown_fields=True):
    step: Step
    by: str
    patient: str = ""
    device: str = ""
    name: str | None = None  # as profile and notes: None leaves it as it is
    bed: str = ""
    profile: str | None = None
    notes: str | None = None
    model: str = ""


class _Code(msgspec.Struct):
    text: str


async def _people(ask: ApiRequest) -> Response:
    registry = ask.parts.registry()
    states = await _blocking(ask.parts.read_states)
    people = [
        {
            "id": person.patient_id,
            "name": person.name,
            "bed": person.bed,
            "profile": person.profile,
            "notes": person.notes,
            "admitted": ms(person.admitted_ns),
            "device": holder.device_id if (holder := registry.holder(person.patient_id)) else "",
        }
        for person in registry.people.values()
        if person.present
    ]
    devices = []
    for device in registry.devices.values():
        bound, state = registry.binding(device.device_id), states.get(device.device_id)
        devices.append(
            {
                "id": device.device_id,
                "model": device.model,
                "notes": device.notes,
                "revoked": not device.token_sha256,
                "patient": bound.person.patient_id if bound else "",
                "heard": ms(state.heard_ns) if state else None,
                "battery": state.battery if state else None,
            }
        )
    content = {"people": people, "devices": devices, "join_url": ask.parts.join_url}
    return json_answer(content)


async def _step(ask: ApiRequest) -> Response:
    body = await ask.body(_Body)
    by = Author(signed(ask, body.by, body.notes or ""), ask.parts.clock.now_ns())
    try:
        if body.profile:
            ask.parts.profiles.check(body.profile)
        made, token = _make(ask.parts.registry(), body, by)
    except BadInputError as error:
        raise RefusedError(409, error.problem, error.remedy) from error
    for message in made.messages:
        await _blocking(ask.parts.send, message)
    return json_answer({"token": token}, 202)


def _make(registry: Registry, body: _Body, by: Author) -> tuple[Steps, str]:
    """Make the requested registry steps; returns them, and the token if a device is new."""
    if body.step == "add device":
        return steps.add_device(registry, body.device, by, model=body.model, notes=body.notes or "")
    if body.step == "admit":
        return steps.admit(
            registry,
            body.patient,
            by,
            name=body.name or "",
            bed=body.bed,
            profile=body.profile or "",
            notes=body.notes or "",
            device_id=body.device,
        ), ""
    if body.step == "transfer":
        return steps.transfer(registry, body.patient, body.bed, by), ""
    if body.step == "edit":
        return steps.edit(
            registry, body.patient, by, name=body.name, profile=body.profile, notes=body.notes
        ), ""
    if body.step == "discharge":
        return steps.discharge(registry, body.patient, by), ""
    if body.step == "assign":
        return steps.assign(registry, body.device, body.patient, by), ""
    if body.step == "release":
        return steps.release(registry, body.device, by), ""
    return steps.revoke(registry, body.device, by), ""


async def _code(ask: ApiRequest) -> Response:
    text = (await ask.body(_Code)).text
    if not 0 < len(text) <= MAX_CODE:
        raise RefusedError(400, f"text must have 1 to {MAX_CODE} characters")
    rows = ["".join(str(int(bool(dark))) for dark in row) for row in segno.make(text).matrix]
    return json_answer({"rows": rows})


async def _blocking(call: Any, *arguments: Any) -> Any:
    try:
        return await asyncio.to_thread(call, *arguments)
    except EcgwatchError as error:
        raise RefusedError(503, error.problem, error.remedy) from error


_PERSON = schemas.object_schema(
    {
        **dict.fromkeys(("id", "name", "bed", "profile", "notes"), schemas.TEXT),
        "admitted": schemas.TIME,
        "device": schemas.TEXT,
    }
)
_DEVICE = schemas.object_schema(
    {
        **dict.fromkeys(("id", "model", "notes", "patient"), schemas.TEXT),
        "revoked": {"type": "boolean"},
        "heard": schemas.TIME_OR_NULL,
        "battery": schemas.NUMBER_OR_NULL,
    }
)
_TAKES: dict[str, Any] = schemas.object_schema(
    {
        "step": {"enum": [*Step.__args__]},  # type: ignore[attr-defined]
        "by": schemas.BY,
        **dict.fromkeys(
            ("patient", "device", "name", "bed", "profile", "notes", "model"), schemas.TEXT
        ),
    },
    ("step", "by"),
)
ENDPOINTS = (
    Endpoint(
        "GET",
        "/api/people",
        "view",
        _people,
        "Who is admitted, and every device",
        ResponseSpec(
            "people, devices, and where phones go to send",
            schemas.object_schema(
                {
                    "people": schemas.many(_PERSON),
                    "devices": schemas.many(_DEVICE),
                    "join_url": schemas.TEXT,
                }
            ),
        ),
        errors=(503,),
    ),
    Endpoint(
        "POST",
        "/api/people",
        "admin",
        _step,
        "Admit, transfer, edit, discharge; add, assign, release, revoke a device",
        ResponseSpec(
            "the token of a new device, shown only now; else empty",
            schemas.object_schema({"token": schemas.TEXT}),
            status=202,
        ),
        body=_TAKES,
        errors=(409, 503),
    ),
    Endpoint(
        "POST",
        "/api/code",
        "admin",
        _code,
        "A QR code of a text, such as the page that a phone is to open",
        ResponseSpec(
            "rows of 0 and 1 (dark), with the quiet zone left out",
            schemas.object_schema({"rows": schemas.many(schemas.TEXT)}),
        ),
        body=schemas.object_schema({"text": schemas.TEXT}),
    ),
)
