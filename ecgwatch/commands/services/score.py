"""ecgwatch score: live scoring while records with reference annotations are replayed."""

from __future__ import annotations

import logging
import signal
import threading

import typer

from ecgwatch import options, settings
from ecgwatch.called import command
from ingest.clock import SystemClock
from ingest.health import Health, serving_health
from ingest.messages import Score


def score(broker: options.Broker = None) -> None:
    """Score beats, rhythm and alarms against the annotations of records while they are replayed;
    scores go to ecg.scores."""
    from ingest.lag import lag_metric
    from ingest.topics import SCORES_GROUP
    from stream_processor.scoring.scorer import Scorer
    from stream_processor.scoring.scorer_parts import INPUTS

    chosen, _ = settings.load({"broker": broker})
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    scorer = Scorer(
        chosen.kafka,
        SystemClock(),
        on_ready=lambda: typer.echo(
            f"scoring what is replayed to {chosen.broker}: a line for each stream when it ends;"
            f" Ctrl-C ends this\nwaiting for annotated records, such as of {command('replay', 'mitdb/208')}"
        ),
        on_end=lambda score: typer.echo(line(score)),
    )
    health = Health(
        lambda: {} if scorer.partitions else {"partitions": "not assigned yet"},
        lambda: [*scorer.metrics(), lag_metric(chosen.kafka, SCORES_GROUP, INPUTS)],
    )
    with serving_health(chosen.metrics, health):
        scorer.run(stop)


def line(s: Score) -> str:
    """Format a patient's score in one line."""
    beats = (
        ("QRS", s.qrs_tp, s.qrs_fn, s.qrs_fp),
        ("V", s.v_tp, s.v_fn, s.v_fp),
        ("S", s.s_tp, s.s_fn, s.s_fp),
    )
    parts = [
        f"{name} Se {_percent(tp, tp + fn)} +P {_percent(tp, tp + fp)}"
        for name, tp, fn, fp in beats
    ]
    parts.append(f"rhythm {_percent(s.rhythm_agreed_s, s.rhythm_s)} of {s.rhythm_s:.0f} s")
    delay = "" if s.worst_delay_s is None else f", worst delay {s.worst_delay_s:.1f} s"
    return (
        f"{s.patient_id}: "
        + ", ".join(parts)
        + f", episodes alarmed {s.episodes_alarmed} of {s.episodes}{delay}"
    )


def _percent(part: float, whole: float) -> str:
    return f"{100 * part / whole:.2f} %" if whole else "--"
