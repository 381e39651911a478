"""A small budget of fuzzed requests; the big one: benchmarks/ingest_fuzz.py."""

from __future__ import annotations

from benchmarks.ingest_fuzz import fuzz


def test_fuzzed_requests_are_refused_and_the_server_stays():
    answers = fuzz(600, seed=7)
    assert answers["422"] > 100
    assert answers["202"] > 10
