"""Faults: what was asked for and nothing else, and the same again for the same seed."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.errors import BadInputError
from ingest.fault_options import FORMS, FaultSpec, parse
from ingest.faults import apply
from ingest.messages import Reference, SampleChunk, decode, encode
from ingest.noise import RecordedNoise, noise_rms, qrs_amplitude
from ingest.replay import Due, stream
from ingest.sources.base import Annotation, Block

START_NS = 1_700_000_000_000_000_000
FS = 250.0
N = 20_000  # 80 s
quick = settings(max_examples=40, deadline=None)


class Heart:
    """A triangle 1 mV high and 0.08 s wide every 0.8 s, annotated; 200 counts per mV."""

    name, lead, device_id, counts_per_mv, fs_hz, duration_s = (
        "heart",
        "II",
        "test",
        200.0,
        FS,
        N / FS,
    )

    def __init__(self, annotated=True):
        self.annotated = annotated

    def blocks(self, start_s=0.0):
        at = np.arange(N)
        counts = np.maximum(0, 200 - 20 * np.abs(at % 200 - 100)).astype(np.int16)
        notes = tuple(Annotation(s, "N") for s in range(100, N, 200)) if self.annotated else ()
        yield Block(counts, False, notes)


class White:
    """White noise of 0.1 mV at another gain and rate."""

    name, lead, device_id, counts_per_mv, fs_hz, duration_s = (
        "white",
        "noise1",
        "test",
        1000.0,
        360.0,
        60.0,
    )

    def blocks(self, start_s=0.0):
        yield Block(np.rint(np.random.default_rng(1).normal(500, 100, 60 * 360)).astype(np.int16))


def faulty(*texts, patient="p", seed=0, source=None):
    source = source or Heart()
    items = stream(source, patient, START_NS)
    return list(
        apply(
            [parse(t) for t in texts],
            items,
            patient_id=patient,
            seed=seed,
            source=source,
            noises={"white": White()},
        )
    )


def chunks(items):
    return [i.message for i in items if isinstance(i.message, SampleChunk)]


def lost(items):
    """Sequence numbers that never arrived."""
    return sorted({c.seq for c in chunks(faulty())} - {c.seq for c in chunks(items) if c.n})


CLEAN = faulty()
EVERY = [
    "drop:0.1",
    "duplicate:0.2",
    "reorder:0.2",
    "delay:1.2:0.3",
    "drift:200",
    "lead-off:10-20",
    "disconnect:30-35",
    "battery:12-40",
    "device:5-6",
    "noise:white:6",
]


@pytest.mark.parametrize("text", EVERY)
def test_the_same_seed_gives_the_same_and_another_patient_another_stream(text):
    assert faulty(text) == faulty(text)
    if not text.startswith(("drift", "lead-off", "disconnect", "battery", "device")):
        assert [c.samples for c in chunks(faulty(text))] != [
            c.samples for c in chunks(faulty(text, seed=1))
        ]
        assert [(c.seq, c.samples) for c in chunks(faulty(text))] != [
            (c.seq, c.samples) for c in chunks(faulty(text, patient="q"))
        ]


@quick
@given(texts=st.lists(st.sampled_from(EVERY), max_size=4), seed=st.integers(0, 5))
def test_any_mixture_leaves_valid_messages_in_due_order_all_references_and_one_end(texts, seed):
    items = faulty(*texts, seed=seed)
    assert all(a.due_s <= b.due_s for a, b in pairwise(items))
    for item in items:
        decode(encode(item.message), type(item.message))
    assert sorted(i.message.sample for i in items if isinstance(i.message, Reference)) == list(
        range(100, N, 200)
    )
    assert [c.end for c in chunks(items)].count(True) == 1
    assert chunks(items)[-1].end


@pytest.mark.parametrize(
    "text",
    [
        "drop:0",
        "duplicate:0",
        "reorder:0",
        "delay:0",
        "delay:3:0",
        "drift:0",
        "lead-off:200-300",
        "disconnect:200-300",
    ],
)
def test_nothing_asked_nothing_done(text):
    assert faulty(text) == CLEAN


def test_drop_loses_its_share_and_touches_nothing_else():
    items = faulty("drop:0.3")
    assert 25 <= len(lost(items)) <= 75  # of 160
    by_seq = {c.seq: c for c in chunks(CLEAN)}
    assert all(c == by_seq[c.seq] for c in chunks(items) if c.n)


def test_dropping_everything_still_ends_the_stream():
    (only,) = chunks(faulty("drop:1"))
    assert (only.n, only.end, only.first_sample, only.t0_ns) == (0, True, N, START_NS + 80 * 10**9)


def test_duplicate():
    items = faulty("duplicate:1")
    seqs = [c.seq for c in chunks(items)]
    assert seqs == [*(s for s in range(159) for _ in range(2)), 159]


def test_reorder_swaps_neighbours():
    seqs = [c.seq for c in chunks(faulty("reorder:1"))]
    assert seqs[:6] == [1, 0, 3, 2, 5, 4]
    assert sorted(seqs) == list(range(160))
    assert seqs[-1] == 159


def test_delay_of_all_shifts_the_chunks_and_not_the_references():
    late = {
        i.message.seq: i.due_s for i in faulty("delay:2.5") if isinstance(i.message, SampleChunk)
    }
    assert all(
        late[i.message.seq] == i.due_s + 2.5 for i in CLEAN if isinstance(i.message, SampleChunk)
    )
    assert [i for i in faulty("delay:2.5") if isinstance(i.message, Reference)] == [
        i for i in CLEAN if isinstance(i.message, Reference)
    ]


def test_delay_of_some_lets_others_overtake():
    seqs = [c.seq for c in chunks(faulty("delay:1.2:0.3"))]
    assert sorted(seqs) == list(range(160))
    assert any(b < a for a, b in pairwise(seqs))
    # 1.2 s are less than three chunks
    assert max(sum(s > seq for s in seqs[:i]) for i, seq in enumerate(seqs)) <= 3


def test_drift_moves_times_and_not_samples():
    for dirty, clean in zip(chunks(faulty("drift:200")), chunks(CLEAN), strict=True):
        assert dirty.t0_ns - clean.t0_ns == round((clean.t0_ns - START_NS) * 200e-6)
        assert (dirty.samples, dirty.first_sample) == (clean.samples, clean.first_sample)


def test_battery_and_device_are_reported_between_their_seconds():
    items = chunks(faulty("battery:10-20"))
    assert [c.seq for c in items if c.battery == 0.03] == list(range(20, 40))
    assert all(c.battery == 0.8 for c in items if c.seq not in range(20, 40))
    assert [c.seq for c in chunks(faulty("device:10-20")) if c.fault] == list(range(20, 40))


def test_lead_off_is_flat_and_flagged_between_its_seconds():
    items = faulty("lead-off:10.1-20.3")
    got = np.concatenate([c.counts() for c in chunks(items)])
    clean = np.concatenate([c.counts() for c in chunks(CLEAN)])
    begin, end = round(10.1 * FS), round(20.3 * FS)
    assert set(got[begin:end]) == {clean[begin - 1]}
    np.testing.assert_array_equal(
        np.delete(got, np.s_[begin:end]), np.delete(clean, np.s_[begin:end])
    )
    # the chunks of 0.5 s that it touches
    assert [c.seq for c in chunks(items) if c.lead_off] == list(range(20, 41))


def test_disconnect_loses_the_chunks_of_its_seconds():
    assert lost(faulty("disconnect:10-15")) == list(range(20, 30))
    assert lost(faulty("disconnect:79-90")) == [158, 159]


def test_faults_compose_in_order():
    items = faulty("disconnect:10-15", "duplicate:1")
    assert lost(items) == list(range(20, 30))
    assert [c.seq for c in chunks(items)].count(19) == 2


class TestNoise:
    @pytest.mark.parametrize("snr_db", [24.0, 6.0, 0.0, -6.0])
    def test_the_ratio_is_that_of_nst(self, snr_db):
        added = RecordedNoise(Heart(), White(), snr_db).counts(0, N)
        amplitude = qrs_amplitude(Heart())
        assert amplitude == 200
        assert 10 * np.log10(amplitude**2 / 8 / noise_rms(added, FS) ** 2) == pytest.approx(
            snr_db, abs=0.01
        )

    def test_without_annotations_the_amplitude_is_measured_all_the_same(self):
        assert qrs_amplitude(Heart(annotated=False)) == 200

    def test_it_is_added_and_it_repeats(self):
        items = chunks(faulty("noise:white:6"))
        rest = np.concatenate([c.counts() for c in items]).astype(float) - np.concatenate(
            [c.counts() for c in chunks(CLEAN)]
        )
        assert noise_rms(rest, FS) == pytest.approx(
            noise_rms(RecordedNoise(Heart(), White(), 6).counts(0, N), FS), rel=0.05
        )
        noise = RecordedNoise(Heart(), White(), 6)
        np.testing.assert_array_equal(noise.counts(noise.n * 3 + 5, 50), noise.counts(5, 50))

    def test_it_is_clipped(self):
        got = np.concatenate([c.counts() for c in chunks(faulty("noise:white:-60"))])
        assert {got.min(), got.max()} == {-(2**15), 2**15 - 1}


class TestParse:
    def test_forms(self):
        assert parse("drop:0.01") == FaultSpec("drop", (0.01,))
        assert parse("disconnect:30-45") == FaultSpec("disconnect", (30, 45))
        assert parse("delay:2") == FaultSpec("delay", (2,))
        assert parse("delay:2:0.5") == FaultSpec("delay", (2, 0.5))
        assert parse("noise:nstdb/em:-6") == FaultSpec("noise", (-6,), "nstdb/em")
        assert parse("drift:-50") == FaultSpec("drift", (-50,))

    def test_an_unknown_fault_is_told_all(self):
        with pytest.raises(BadInputError, match="no fault 'dorp'") as caught:
            parse("dorp:1")
        assert all(form in caught.value.remedy for form in FORMS.values())

    @pytest.mark.parametrize(
        "text",
        [
            "drop",
            "drop:",
            "drop:x",
            "drop:2",
            "drop:-0.1",
            "drop:nan",
            "drop:0.1:0.2",
            "delay:-1",
            "delay:1:2",
            "drift:inf",
            "lead-off:5",
            "lead-off:5-5",
            "disconnect:9-3",
            "disconnect:a-b",
            "noise:6",
            "noise:nstdb/em",
            "noise::6",
        ],
    )
    def test_a_bad_value_is_told_the_form(self, text):
        with pytest.raises(BadInputError, match=text.split(":")[0]) as caught:
            parse(text)
        assert FORMS[text.split(":")[0]] in caught.value.remedy


def test_real_noise_is_added_to_a_real_record(data_dir):
    from ingest.sources.open import open_source

    if not ((data_dir / "nstdb/ma.hea").exists() and (data_dir / "mitdb/208.hea").exists()):
        pytest.skip(f"needs nstdb/ma and mitdb/208 in {data_dir}")
    record, noise = (
        open_source("mitdb/208", data=data_dir),
        open_source("nstdb/ma", data=data_dir, channel=0),
    )
    items = apply(
        [parse("noise:nstdb/ma:6")],
        stream(record, "208", START_NS, to_s=30),
        patient_id="208",
        seed=0,
        source=record,
        noises={"nstdb/ma": noise},
    )
    assert 1 < qrs_amplitude(record) / record.counts_per_mv < 4
    assert all(isinstance(i, Due) for i in items)
