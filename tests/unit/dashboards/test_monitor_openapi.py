"""The API's description: a sound OpenAPI document that names every route, and what it says is what
is answered."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.routing import Route

from dashboards.monitor.http.access import Access
from dashboards.monitor.http.server import ENDPOINTS, PAGES, create_app
from ingest.clock import ManualClock
from ingest.messages import JournalEntry, Score
from stream_processor.pipeline.alarms.profiles import Profiles
from stream_processor.sinks.memory import MemorySink
from tests.unit.dashboards.monitor_bench import (
    NOW,
    Bench,
    HandFeed,
    S,
    action,
    alarm,
    beat,
    chunk,
    edit,
    finding,
    ms,
    next_of,
    rhythm,
    running,
    storing,
    strip,
    vitals,
    waveform,
)

UNDESCRIBED = {*PAGES, "/service-worker.js", "/healthz", "/readyz", "/metrics"}  # pages, and probes
TYPES = {
    "string": str,
    "boolean": bool,
    "object": dict,
    "array": list,
    "null": type(None),
    "integer": int,
    "number": (int, float),
}
KEYWORDS = {
    "type",
    "enum",
    "properties",
    "required",
    "items",
    "description",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "default",
    "additionalProperties",
    "propertyNames",
    "$ref",
}


@pytest.fixture(scope="module")
def api() -> Any:
    with running() as bench:
        answer = bench.client.get("/openapi.json")
        assert answer.headers["content-type"] == "application/json"
        return answer.json()


def operations(api: Any) -> Iterator[tuple[str, str, Any]]:
    for path, methods in api["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def schemas(node: Any) -> Iterator[Any]:
    """Every schema in the document."""
    if isinstance(node, dict):
        if isinstance(node.get("schema"), dict):
            yield from _nested(node["schema"])
        for value in node.values():
            yield from schemas(value)
    elif isinstance(node, list):
        for value in node:
            yield from schemas(value)


def _nested(schema: Any) -> Iterator[Any]:
    yield schema
    inner = [
        *schema.get("properties", {}).values(),
        schema.get("items"),
        schema.get("additionalProperties"),
        schema.get("propertyNames"),
    ]
    for one in inner:
        if isinstance(one, dict):
            yield from _nested(one)


def fits(value: Any, schema: Any) -> bool:
    """Whether a value is what the schema says, as far as we use JSON Schema; objects hold nothing
    that is not named."""
    if "enum" in schema and value not in schema["enum"]:
        return False
    if "type" in schema:
        types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        if not any(
            isinstance(value, TYPES[t]) and not (isinstance(value, bool) and t != "boolean")
            for t in types
        ):
            return False
    if isinstance(value, dict) and "properties" in schema:
        named = schema["properties"]
        return set(schema["required"]) <= set(value) <= set(named) and all(
            fits(value[n], named[n]) for n in value
        )
    if isinstance(value, list) and "items" in schema:
        return all(fits(one, schema["items"]) for one in value)
    return True


def test_every_route_is_described_and_nothing_else() -> None:
    clock = ManualClock()
    app = create_app(
        HandFeed(),
        MemorySink,
        clock,
        send=lambda _: None,
        profiles=Profiles.load(None),
        access=Access({}, clock),
    )
    routes = {
        (method, route.path.replace(":path", ""))
        for route in app.routes
        if isinstance(route, Route) and route.path not in UNDESCRIBED
        for method in (route.methods or set()) - {"HEAD"}
    }
    with running() as bench:
        api = bench.client.get("/openapi.json").json()
    assert routes == {(method.upper(), path) for path, method, _ in operations(api)}
    assert len(ENDPOINTS) == len(routes)


def test_the_document_is_sound(api: Any) -> None:
    assert set(api) == {"openapi", "info", "paths", "components"}
    assert api["openapi"].startswith("3.1.")
    assert {"title", "version"} <= set(api["info"])
    ids = [operation["operationId"] for _, _, operation in operations(api)]
    assert len(ids) == len(set(ids))
    for path, method, operation in operations(api):
        assert path.startswith("/")
        assert method in {"get", "post", "delete"}
        assert operation["summary"]
        allowed = {"operationId", "summary", "parameters", "requestBody", "responses", "security"}
        assert set(operation) <= allowed | {"x-role"}
        _check_parameters(path, operation)
        _check_responses(operation)
        assert ("requestBody" in operation) <= (method == "post")
        for scheme in operation["security"]:
            assert set(scheme) <= set(api["components"]["securitySchemes"])


def _check_parameters(path: str, operation: Any) -> None:
    parameters = operation.get("parameters", [])
    assert {p["name"] for p in parameters if p["in"] == "path"} == set(re.findall(r"{(\w+)}", path))
    assert len({(p["in"], p["name"]) for p in parameters}) == len(parameters)
    for parameter in parameters:
        assert set(parameter) == {"name", "in", "required", "schema", "description"}
        assert parameter["in"] in {"path", "query"}
        assert parameter["required"] or parameter["in"] == "query"


def _check_responses(operation: Any) -> None:
    assert any(code.startswith("2") for code in operation["responses"])
    for code, response in operation["responses"].items():
        assert re.fullmatch(r"[1-5]\d\d", code)
        assert response["description"]
        for media in response.get("content", {}):
            assert re.fullmatch(r"[a-z]+/[a-z.+-]+", media)


def test_the_schemas_are_sound(api: Any) -> None:
    found = list(schemas(api))
    assert len(found) > 100
    for schema in found:
        assert set(schema) <= KEYWORDS, schema
        types = schema.get("type", [])
        assert set(types if isinstance(types, list) else [types]) <= set(TYPES)
        assert set(schema.get("required", [])) <= set(schema.get("properties", {}))
        if "$ref" in schema:
            assert schema["$ref"] == "#/components/schemas/Problem"
            assert "Problem" in api["components"]["schemas"]


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """A patient with one of everything."""
    x, one = np.arange(2500), alarm(10)
    folder = tmp_path_factory.mktemp("store")
    (folder / "profiles.toml").write_text('[patients.p]\noff = ["missed_beat"]\n')
    events = [
        waveform(0, x),
        strip(one, x),
        one,
        vitals(1),
        vitals(2),
        beat(1),
        beat(2),
        rhythm(0, 30),
        finding(0, 30),
        JournalEntry(
            patient_id="p", time_ns=one.onset_ns, id="j", by="h10", kind="symptom", text="dizzy"
        ),
    ]
    with storing(
        folder,
        *events,
        action("silence", seconds=5.0),
        edit(beat(1)),
        admitted=True,
        profiles=Profiles.load(folder / "profiles.toml"),
    ) as bench:
        bench.send(chunk("p"), one, beat(0), rhythm(0, 30))
        yield bench


@pytest.mark.parametrize(
    ("method", "path"), [(e.method, e.path) for e in ENDPOINTS if e.method == "GET"]
)
def test_answers_are_as_described(full: Bench, api: Any, method: str, path: str) -> None:
    operation = api["paths"][path][method.lower()]
    known = {"from": ms(0), "to": ms(60), "at": ms(10), "alarm": alarm(10).id}
    query = {
        p["name"]: known[p["name"]]
        for p in operation.get("parameters", [])
        if p["in"] == "query" and p["required"]
    }
    answer = full.client.get(path.replace("{patient}", "p"), params=query)
    described = operation["responses"][str(answer.status_code)]
    (media, content), *_ = described["content"].items()
    assert answer.headers["content-type"].startswith(media)
    if "properties" in content.get("schema", {}):
        assert fits(answer.json(), content["schema"]), answer.json()
        assert all(value != [] for value in answer.json().values()), "nothing was compared"


def test_the_schemas_can_tell_a_wrong_answer(api: Any) -> None:
    schema = api["paths"]["/api/patients/{patient}/beats"]["get"]["responses"]["200"]["content"][
        "application/json"
    ]["schema"]
    good = {"id": "1", "t": 1.0, "label": "N", "rr": None, "confidence": 1.0, "probability": 0.5}
    assert fits({"beats": [good]}, schema)
    for bad in ({"label": "X"}, {"rr": "1"}, {"t": None}, {"more": 1}):
        assert not fits({"beats": [good | bad]}, schema)


def test_the_page_to_read_names_every_endpoint(api: Any) -> None:
    with running() as bench:
        page = bench.client.get("/api")
    assert page.headers["content-type"].startswith("text/html")
    text = html.unescape(page.text)
    for path, method, operation in operations(api):
        assert re.search(
            rf"<h2><span>{method.upper()}</span> {re.escape(path)}</h2>\s*<p>{re.escape(operation['summary'])}",
            text,
        )
    assert "http://" not in page.text
    assert "https://" not in page.text


def test_every_endpoint_is_in_the_document() -> None:
    text = (Path(__file__).parents[3] / "docs/monitor-api.md").read_text()
    for endpoint in ENDPOINTS:
        assert f"{endpoint.method} {endpoint.path.replace('{patient}', 'ID')}" in re.sub(
            " +", " ", text
        )


def test_scores_are_shares_and_null_where_nothing_was_counted() -> None:
    counts = {
        "qrs_tp": 90,
        "qrs_fn": 10,
        "qrs_fp": 30,
        "v_tp": 0,
        "v_fn": 0,
        "v_fp": 2,
        "s_tp": 0,
        "s_fn": 0,
        "s_fp": 0,
    }
    made = Score(
        patient_id="p",
        device_id="d",
        lead="II",
        time_ns=NOW + 5 * S,
        **counts,
        rhythm_s=0.0,
        rhythm_agreed_s=0.0,
        episodes=2,
        episodes_alarmed=1,
        worst_delay_s=6.5,
    )
    with running() as bench:
        bench.send(chunk("p"))
        with bench.page("p") as socket:
            assert next_of(socket, "patient")["score"] is None
            bench.send(made)
            (told,) = next_of(socket, "events")["events"]
        with bench.page("p") as socket:
            assert next_of(socket, "patient")["score"] == told["score"]
    assert told["score"] == {
        "t": ms(5),
        "qrs": {"se": 0.9, "ppv": 0.75, "n": 100},
        "v": {"se": None, "ppv": 0.0, "n": 0},
        "s": {"se": None, "ppv": None, "n": 0},
        "rhythm": None,
        "episodes": 2,
        "episodes_alarmed": 1,
        "worst_delay_s": 6.5,
    }


def test_the_newest_finding_of_each_task_is_shown() -> None:
    with running() as bench:
        bench.send(chunk("p"), finding(0, 30, "N"), finding(0, 20, task="apnoea", label="no"))
        with bench.page("p") as socket:
            assert {(f["task"], f["label"]) for f in next_of(socket, "patient")["findings"]} == {
                ("flutter", "N"),
                ("apnoea", "no"),
            }
            bench.send(finding(30, 60))
            (told,) = next_of(socket, "events")["events"]
            assert told["finding"] == {
                "start": ms(30),
                "end": ms(60),
                "task": "flutter",
                "label": "AFL",
                "probability": 0.9,
                "model": "2",
            }
        with bench.page("p") as socket:
            assert told["finding"] in next_of(socket, "patient")["findings"]
        bench.send(chunk("p", t0_ns=NOW + 900 * S))  # another stream
        with bench.page("p") as socket:
            assert next_of(socket, "patient")["findings"] == []
