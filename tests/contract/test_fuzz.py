"""Mutated chunks and actions break nothing, and affect nobody but the patient they name."""

from tests.fuzz_processor import run


def test_mutants_break_nothing_and_affect_nobody_else() -> None:
    found = run(1500)
    assert (found.wrong_witnesses, found.rebuilds, found.refused) == ([], 0, 0)
    assert found.dead_letters > 100
    assert found.processed > 300
