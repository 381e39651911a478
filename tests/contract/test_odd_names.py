"""A patient of any name that the codec allows can be acknowledged by every way: the page, a
notification's link, the command line and an action on Kafka."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import parse_qs, quote, urlsplit

import httpx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from dashboards.monitor.http.api_request import onset_of
from ecgwatch.__main__ import app
from ingest.bounds import MAX_NAME, name_problem
from ingest.broker import create_topics
from ingest.clock import ManualClock
from ingest.embedded import EmbeddedBroker
from ingest.messages import Action, Alarm, decode, encode
from ingest.topics import ACKS
from stream_processor.notifications.moments import AlarmMoment
from stream_processor.notifications.plan import NotificationPlan
from stream_processor.notifications.text import note
from stream_processor.pipeline.ward import Ward
from stream_processor.sinks.sqlite import SqliteSink
from stream_processor.ward import build_ward
from tests.integration.processor.test_process import messages
from tests.unit.dashboards.monitor_bench import NOW, URL, Bench, alarm, chunk, running

# what stands for something in addresses, queries, JSON, shells, line protocol or Markdown
MEANING = [*list("/\\%?#&=+;:,.'\"`<>{}[]()|$!*~@^- _"), "%2F", "..", "é", "é", "☃", "🫀", "ب"]
NAMES = st.one_of(
    st.text(st.characters(), min_size=1, max_size=MAX_NAME),
    st.lists(st.sampled_from([*MEANING, "a", "7"]), min_size=1, max_size=20).map("".join),
).filter(lambda name: name_problem("patient_id", name) is None)
# encodeURIComponent leaves these, as the page's scripts do
IN_A_SCRIPT = "!'()*-._~"
HARD = ["a/b", "a/limits", "../etc", "-rf", "--help", "%2F%00", "a" * MAX_NAME, "🫀" * MAX_NAME]


def of(patient: str) -> Alarm:
    return alarm(
        kind="asystole",
        patient_id=patient,
        priority="high",
        latching=True,
        id=f"{patient}:asystole:{NOW}",
    )


@pytest.fixture(scope="module")
def page() -> Iterator[Bench]:
    with running() as bench:
        yield bench


@given(NAMES)
@example("a/limits")
@example("🫀" * MAX_NAME)
def test_on_the_page(page: Bench, patient: str) -> None:
    raised = of(patient)
    page.send(chunk(patient), raised)

    async def post() -> httpx.Response:
        # as uvicorn does: Starlette's own client decodes a path twice
        transport = httpx.ASGITransport(page.client.app)
        async with httpx.AsyncClient(transport=transport, base_url=URL) as client:
            return await client.post(
                f"/api/patients/{quote(patient, safe=IN_A_SCRIPT)}/actions",
                json={"action": "acknowledge", "by": "Anna", "alarm": raised.id},
            )

    assert page.client.portal
    answer = page.client.portal.call(post)
    assert answer.status_code == 202, answer.text
    sent = page.sent[-1]
    assert isinstance(sent, Action)
    assert (sent.patient_id, sent.alarm_id) == (patient, raised.id)


@given(NAMES)
@example("a&id=b")
def test_behind_a_notifications_link(patient: str) -> None:
    raised = of(patient)
    plan = NotificationPlan(recipients={}, rules=(), monitor="https://ward:8050")
    body = note(plan, raised, AlarmMoment("onset", 0)).body
    (link,) = [line for line in body.splitlines() if line.startswith("Monitor: ")]
    query = parse_qs(urlsplit(link.removeprefix("Monitor: ")).query, strict_parsing=True)
    assert query == {"patient": [patient], "id": [raised.id]}
    assert onset_of(raised.id) == NOW


@pytest.fixture(scope="module")
def ward() -> Ward:
    return build_ward(ManualClock(NOW))


@given(NAMES)
@example("🫀" * MAX_NAME)
def test_by_an_action_on_kafka(ward: Ward, patient: str) -> None:
    ward.close(patient)
    (raised,) = ward.raise_technical(patient, "input_refused", NOW, "x")
    assert isinstance(raised, Alarm)
    action = Action(
        patient_id=patient, time_ns=NOW, id="1", by="Ada", action="acknowledge", alarm_id=raised.id
    )
    (told,) = ward.act([(0, 0, decode(encode(action), Action))])
    assert isinstance(told, Alarm)
    assert (told.id, told.acknowledged_by) == (raised.id, "Ada")


@pytest.fixture(scope="module")
def broker() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker() as running_broker:
        create_topics(running_broker.address)
        yield running_broker


@given(NAMES)
@settings(
    max_examples=3, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@example("-rf")
@example("--help")
@example("🫀" * MAX_NAME)
def test_on_the_command_line(broker: EmbeddedBroker, tmp_path, patient: str) -> None:
    raised, store = of(patient), tmp_path / "events.db"
    sink = SqliteSink(store)
    sink.add(raised)
    sink.flush()
    sink.close()
    where = ["--broker", broker.address, "--sink", f"sqlite:{store}", "--by", "Ada"]
    done = CliRunner().invoke(app, ["alarms", "ack", *where, "--", patient, "asystole"])
    assert done.exit_code == 0, done.output
    sent = [decode(m.value() or b"", Action) for m in messages(broker.address, ACKS.name)]
    assert (patient, raised.id) in {(a.patient_id, a.alarm_id) for a in sent}


@pytest.mark.parametrize("patient", HARD)
def test_the_hard_ones_are_allowed(patient: str) -> None:
    assert name_problem("patient_id", patient) is None
