"""Write report.html: one self-contained page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from html import escape

from ecgwatch.evaluating import agreement
from ecgwatch.evaluating.gallery import ALARM, GalleryStrip
from ecgwatch.evaluating.judge import Judgement
from ecgwatch.evaluating.plots import Bar, bars, reached
from ecgwatch.evaluating.plots_agreement import bland_altman, confusion
from ecgwatch.evaluating.sums.alarms import all_due, all_judged, n_false
from ecgwatch.evaluating.tables import FigureTable
from stream_processor.pipeline.alarms.catalogue import CATALOGUE
from stream_processor.scoring import cinc2015

LEGEND = f"Reference above the strip, ours below, {ALARM} where an alarm of high priority was announced; the event is shaded."
STYLE = """
body { font: 14px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 1250px; padding: 0 1rem; color: #1a1a1a; background: #fff }
h1 { font-size: 1.5rem } h2 { font-size: 1.15rem; margin-top: 2.2rem; border-bottom: 1px solid #ccc }
h3 { font-size: 1rem; margin: 1.6rem 0 .3rem }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: .4rem 0; font-size: 13px }
th, td { padding: .15rem .55rem; border-bottom: 1px solid #e5e5e5; text-align: left; vertical-align: top } th { background: #f4f4f4 }
td.n, th.n { text-align: right; white-space: nowrap } tr:hover td { background: #fafafa } .wide { overflow-x: auto }
p.note { color: #555; margin: .2rem 0 } figure { margin: 1rem 0 } figcaption { font-weight: 600; margin-bottom: .2rem }
figure { break-inside: avoid }
@media print { body { margin: 0; max-width: none } h2 { break-after: avoid } }
"""


def page(
    title: str,
    heading: str,
    tables: Sequence[FigureTable],
    records: FigureTable,
    found: Sequence[Judgement],
    strips: Iterable[GalleryStrip],
) -> str:
    """The whole document: plots before numbers, the goals first among these."""
    goals, rest = (
        [t for t in tables if t.title == "Goals"],
        [t for t in tables if t.title != "Goals"],
    )
    body = [
        f"<h1>{escape(title)}</h1><p>{escape(heading)}</p>",
        *plots(found),
        *(table_html(t) for t in goals),
        *(table_html(t) for t in rest),
    ]
    body += [table_html(records)]
    body += ["<h2>Gallery</h2>", f'<p class="note">{escape(LEGEND)}</p>', *_gallery(strips)]
    return document(escape(title), "".join(body))


def document(title: str, body: str) -> str:
    """A whole page of escaped parts."""
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{title}</title><style>{STYLE}</style></head><body>{body}</body></html>\n"
    )


def plots(found: Sequence[Judgement]) -> list[str]:
    """Plots of the figures that exist for these records: false alarms, confusion, heart rate, then
    the rest."""
    parts: list[str] = []
    f1 = [
        Bar(j.name, j.beats.beats.qrs.f1)
        for j in found
        if j.beats and j.beats.beats.qrs.f1 is not None
    ]
    rates = [
        Bar(j.name, j.beats.rate.mean_bpm)
        for j in found
        if j.beats and j.beats.rate.mean_bpm is not None
    ]
    hours = sum(j.alarms.hours for j in found if j.alarms)
    judged = all_judged(found)
    kinds = [(kind, [x for x in judged if x.alarm.kind == kind]) for kind in CATALOGUE]
    delays = [d.delay_s for d in all_due(found) if d.delay_s is not None]
    answers = [j.answer for j in found if j.answer]
    if hours:
        parts.append(
            bars(
                "Alarms announced, false ones in red",
                [Bar(CATALOGUE[k].name, len(x) / hours, n_false(x) / hours) for k, x in kinds if x],
                "per hour",
            )
        )
    parts += _agreement(found)
    if rates:
        parts.append(bars("Heart rate, mean absolute error", rates, "bpm"))
    if f1:
        parts.append(bars("QRS F1 per record, from 90", f1, "%", 90.0))
    if delays:
        parts.append(
            reached("From onset to the first alarm of high priority", delays, (8.0, 10.0), "s")
        )
    if answers:
        by_kind = {
            kind: cinc2015.score(cinc2015.counts(a for a in answers if a.question.kind == kind))
            for kind in cinc2015.KINDS
        }
        parts.append(
            bars(
                "CinC 2015 score",
                [Bar(kind, value) for kind, value in by_kind.items() if value is not None],
                "%",
            )
        )
    return parts


def _agreement(found: Sequence[Judgement]) -> list[str]:
    """Confusion matrices of rhythm and beats, and the heart rate after Bland and Altman."""
    parts: list[str] = []
    if rhythm := agreement.rhythms(found):
        labels = agreement.ordered(rhythm, agreement.ORDER)
        parts.append(confusion("Rhythm", labels, rhythm, "seconds"))
    if beats := agreement.beats(found):
        labels = agreement.ordered(beats, [*agreement.BEATS.values()])
        parts.append(confusion("Beats", labels, beats, "beats"))
    if rates := agreement.rates(found):
        parts.append(bland_altman("Heart rate, Bland-Altman", rates))
    labels_of = [(j.labels.true, j.labels.whole) for j in found if j.labels]
    if labels_of:
        counts = Counter(labels_of)
        names = agreement.ordered(counts, ("N", "A", "O", "~"))
        parts.append(confusion("Rhythm of whole records", names, counts, "records"))
    return parts


def table_html(table: FigureTable) -> str:
    """A table under its title."""
    numeric = ["n" if form else "t" for _, form in table.columns]
    head = "".join(
        f'<th class="{c}">{escape(name)}</th>'
        for (name, _), c in zip(table.columns, numeric, strict=True)
    )
    rows = [
        "".join(
            f'<td class="{c}">{escape(cell)}</td>' for cell, c in zip(row, numeric, strict=True)
        )
        for row in table.cells()
    ]
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    note = f'<p class="note">{escape(table.note)}</p>' if table.note else ""
    return f'<h2>{escape(table.title)}</h2><div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>{note}'


def _gallery(strips: Iterable[GalleryStrip]) -> list[str]:
    parts, group = [], ""
    for strip in strips:
        if strip.group != group:
            group = strip.group
            parts.append(f"<h3>{escape(group)}</h3>")
        caption = escape(strip.caption.replace("_", " "))
        parts.append(f'<figure class="wide"><figcaption>{caption}</figcaption>{strip.svg}</figure>')
    return parts or ["<p>Nothing to show.</p>"]
