"""The board on the quality of the models: live scores, confidence, class shares, and people's
corrections."""

from __future__ import annotations

from typing import Any

from dashboards.grafana import flux, layout, parts
from dashboards.grafana.flux import WINDOW
from dashboards.grafana.parts import Json

CLASSES = {"qrs": "QRS", "v": "V", "s": "S"}
UNSURE = 0.8  # a beat of lower confidence counts as unsure


def board() -> Json:
    """Build the board."""
    return layout.board(
        "ecgwatch-quality",
        "Model quality",
        "Agreement with replayed reference annotations (while `ecgwatch score` runs), confidence, and what people corrected.",
        [_scores(), *_running(), _confidence(), _unsure(), _classes(), _rhythms(), _edits()],
        since="now-6h",
        refresh="30s",
    )


def _share(hit: str, missed: str) -> str:
    """hit / (hit + missed), no value if both are zero."""
    return f"if r.{hit} + r.{missed} > 0 then float(v: r.{hit}) / float(v: r.{hit} + r.{missed}) else {flux.NULL_FLOAT}"


def _scores() -> Json:
    counts = [f"{name}_{part}" for name in CLASSES for part in ("tp", "fn", "fp")]
    measures = [
        f"{name}_{measure}: {_share(f'{name}_tp', f'{name}_{missed}')}"
        for name in CLASSES
        for measure, missed in (("se", "fn"), ("ppv", "fp"))
    ]
    agreed = f"if r.rhythm_s > 0.0 then r.rhythm_agreed_s / r.rhythm_s else {flux.NULL_FLOAT}"
    last = flux.query(
        flux.rows(
            "score",
            *counts,
            "rhythm_s",
            "rhythm_agreed_s",
            "episodes",
            "episodes_alarmed",
            "worst_delay_s",
            "none",
        ),
        '  |> group(columns: ["patient"])\n  |> sort(columns: ["_time"])\n  |> last(column: "qrs_tp")\n  |> group()',
        "  |> map(fn: (r) => ({patient: r.patient, beats: r.qrs_tp + r.qrs_fn,",
        "      " + ",\n      ".join(measures) + ",",
        f"      rhythm: {agreed}, episodes: r.episodes, alarmed: r.episodes_alarmed,",
        f'      worst_delay: if given(r: r, field: "worst_delay_s") then r.worst_delay_s else {flux.NULL_FLOAT}}}))',
    )
    percent: Any = {"unit": "percentunit", "decimals": 2}
    names = {
        f"{name}_{m}": f"{word} {title}"
        for name, word in CLASSES.items()
        for m, title in (("se", "Se"), ("ppv", "+P"))
    }
    return parts.table(
        "Agreement with the reference, since each stream began",
        last,
        (24, 8),
        overrides=[
            *(parts.field(name, displayName=shown, **percent) for name, shown in names.items()),
            parts.field("rhythm", displayName="rhythm agrees", **percent),
            parts.field("episodes", displayName="episodes that must alarm"),
            parts.field("worst_delay", displayName="worst delay", unit="s", decimals=1),
        ],
    )


def _running() -> list[Json]:
    def over_time(missed: str) -> str:
        return flux.query(
            flux.rows(
                "score", "qrs_tp", f"qrs_{missed}", "v_tp", f"v_{missed}", "s_tp", f"s_{missed}"
            ),
            '  |> group()\n  |> sort(columns: ["_time"])',
            "  |> map(fn: (r) => ({_time: r._time, patient: r.patient,",
            "      "
            + ", ".join(
                f"{word}: {_share(f'{name}_tp', f'{name}_{missed}')}"
                for name, word in CLASSES.items()
            )
            + "}))",
            '  |> group(columns: ["patient"])',
        )

    shown: Any = {
        "unit": "percentunit",
        "maximum": 1,
        "name": "${__field.labels.patient} ${__field.name}",
    }
    return [
        parts.curve("Sensitivity so far", over_time("fn"), **shown),
        parts.curve("Positive predictivity so far", over_time("fp"), **shown),
    ]


def _confidence() -> Json:
    values = flux.query(
        flux.points("beat", "confidence", "label_probability"),
        '  |> group(columns: ["_field"])\n  |> aggregateWindow(every: '
        + WINDOW
        + ", fn: mean, createEmpty: false)",
        '  |> keep(columns: ["_time", "_value", "_field"])',
    )
    return parts.curve(
        "Mean confidence: a QRS, and its class",
        values,
        unit="percentunit",
        maximum=1,
        name="${__field.name}",
    )


def _unsure() -> Json:
    share = flux.query(
        flux.points("beat", "label_probability"),
        f"  |> map(fn: (r) => ({{r with _value: if r._value < {UNSURE} then 1.0 else 0.0}}))\n  |> group()",
        f'  |> aggregateWindow(every: {WINDOW}, fn: mean, createEmpty: false)\n  |> keep(columns: ["_time", "_value"])',
    )
    return parts.curve(
        f"Share of beats with a class probability below {UNSURE}",
        share,
        unit="percentunit",
        minimum=0,
        name="unsure",
    )


def _classes() -> Json:
    counted = flux.query(
        flux.rows("beat", "label", "sample"),
        '  |> group(columns: ["patient", "label"])\n  |> count(column: "sample")\n  |> group()',
        '  |> pivot(rowKey: ["patient"], columnKey: ["label"], valueColumn: "sample")\n  |> sort(columns: ["patient"])',
    )
    colours = [
        parts.field(label, color={"mode": "fixed", "fixedColor": colour})
        for label, colour in parts.BEATS.items()
    ]
    return parts.bars(
        "Beats by class, share per patient",
        counted,
        (12, 9),
        across="patient",
        stacked="percent",
        unit="none",
        overrides=colours,
    )


def _rhythms() -> Json:
    spent = flux.query(
        flux.rows("rhythm", "label", "end_ns"),
        "  |> map(fn: (r) => ({patient: r.patient, label: r.label, hours: float(v: r.end_ns - int(v: r._time)) / 3600000000000.0}))",
        '  |> group(columns: ["patient", "label"])\n  |> sum(column: "hours")\n  |> group()',
        '  |> pivot(rowKey: ["patient"], columnKey: ["label"], valueColumn: "hours")\n  |> sort(columns: ["patient"])',
    )
    colours = [
        parts.field(label, color={"mode": "fixed", "fixedColor": colour})
        for label, colour in parts.RHYTHMS.items()
    ]
    return parts.bars(
        "Rhythm, share of the time per patient",
        spent,
        (12, 9),
        across="patient",
        stacked="percent",
        unit="h",
        overrides=colours,
    )


def _edits() -> Json:
    counted = flux.query(
        flux.rows("edit", "target", "said", "verdict", "label", "by", "none"),
        '  |> group(columns: ["target", "said", "verdict"])\n  |> count(column: "by")\n  |> group()',
        '  |> rename(columns: {by: "times"})\n  |> sort(columns: ["times"], desc: true)',
    )
    return parts.table(
        "What people said of it",
        counted,
        (24, 8),
        description="Confirmed, rejected or relabelled in the monitor's review.",
    )
