"""Counts of refused input: on the page for an hour, in the metrics for ever, whatever a dead letter
holds."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dashboards.monitor.live.refused_input import (
    LASTS_S,
    RefusedInput,
    RefusedInputs,
    refused_input,
)
from tests.unit.dashboards.monitor_bench import next_of, running


def test_the_page_and_the_metrics_count_what_was_refused() -> None:
    with running() as bench, bench.page() as page:
        assert next_of(page, "ward")["refused"] is None
        bench.send(
            RefusedInput("bed-1", "signal", "fs_hz is not a number"),
            RefusedInput("", "signal", "not MessagePack"),
            RefusedInput("bed-2", "action", "seconds inf"),
        )
        told = next_of(page, "ward")["refused"]
        assert told == {
            "count": 3,
            "patients": ["bed-2", "bed-1"],
            "others": 0,
            "what": "action",
            "reason": "seconds inf",
        }
        metrics = bench.client.get("/metrics").text
        assert "ecgwatch_refused_inputs_total 3" in metrics
        assert bench.client.get("/api/patients").json()["patients"] == []  # it brings nobody


def test_after_an_hour_the_page_speaks_of_it_no_more() -> None:
    refused = RefusedInputs()
    for number in range(5):
        refused.add(RefusedInput(f"bed-{number}", "event", "too old"), 10.0 * number)
    told = refused.view(40.0)
    assert told is not None
    assert (told["count"], told["patients"], told["others"]) == (5, ["bed-4", "bed-3", "bed-2"], 2)
    told = refused.view(15.0 + LASTS_S)
    assert told is not None
    assert told["count"] == 3
    assert refused.view(41.0 + LASTS_S) is None
    assert refused.total == 5


@given(
    st.none() | st.binary(max_size=200),
    st.dictionaries(st.sampled_from(["topic", "reason", "kind", "offset"]), st.binary()),
)
def test_a_dead_letter_may_hold_anything(key: bytes | None, headers: dict[str, bytes]) -> None:
    found = refused_input(key, headers)
    assert found.what in ("signal", "action", "event")
    assert found.patient_id == "" or found.patient_id.isprintable()
    assert len(found.patient_id) <= 128
    assert len(found.reason) <= 200
