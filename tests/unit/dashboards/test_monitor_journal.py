"""What people write into a patient's journal: what is sent on, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from ingest.messages import JournalEntry
from tests.unit.dashboards.monitor_bench import NOW, Bench, S, chunk, ms, running

GIVEN: dict[str, Any] = {"at": ms(7), "kind": "event", "text": "Electrodes changed", "by": "Ada"}


@pytest.fixture
def bench() -> Iterator[Bench]:
    with running() as bench:
        bench.send(chunk("p"))
        yield bench


def test_an_entry_goes_to_the_journal_with_its_moment_and_its_author(bench: Bench) -> None:
    assert bench.post("journal", **(GIVEN | {"text": " Electrodes changed "})).status_code == 202
    (sent,) = bench.sent
    assert isinstance(sent, JournalEntry)
    assert (sent.patient_id, sent.time_ns, sent.by) == ("p", NOW + 7 * S, "Ada")
    assert (sent.kind, sent.text) == ("event", "Electrodes changed")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"text": "  "}, "text must say something"),
        ({"text": "x" * 501}, "longer than 500"),
        ({"kind": "discharged"}, "discharged"),
        ({"at": -1}, "at must be milliseconds"),
        ({"by": ""}, "by must say who"),
    ],
)
def test_a_mistake_is_named_and_nothing_is_sent(
    bench: Bench, given: dict[str, Any], said: str
) -> None:
    answer = bench.post("journal", **(GIVEN | given))
    assert answer.status_code == 400
    assert said in answer.json()["problem"]
    assert bench.sent == []


def test_an_unknown_patient_has_no_journal() -> None:
    with running() as bench:
        assert bench.post("journal", **GIVEN).status_code == 404
