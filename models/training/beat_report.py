"""The cross-validation report of the beat network: per fold, per record, and as a table."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from models.conditioning import FS_HZ
from models.decoding import THRESHOLD
from models.training.beat_metrics import LEARNING, Found, Predict, Score, fibrillation_seconds, find, run, score_beats, total
from models.training.data import NOISE_FOR_TRAINING_MIN, Track, load_mitdb, rhythms

PACED = {"mitdb/102", "mitdb/104", "mitdb/107", "mitdb/217"}
NOISY = ("118e24", "118e18", "118e12", "118e06", "118e00", "118e_6")
MINUTE = 60 * FS_HZ
UNSEEN_NOISE = np.array([[m, m + 2] for m in range(NOISE_FOR_TRAINING_MIN, 30, 4)]) * MINUTE  # noise is on two minutes in four
THRESHOLDS = (0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6)
FOUR_SECONDS = 4  # windows over which fibrillation is averaged

Result = dict[str, Any]


def evaluate(fold: int, tracks: Sequence[Track], predict: Predict, folder: Path) -> Result:
    """Everything that is measured on the held-out tracks of one fold, as plain data."""
    result: Result = {"fold": fold, "records": {}, "nstdb": {}, "fibrillation": []}
    for track in tracks:
        logits = run(track, predict)
        found = find(track, logits)
        if track.name.startswith("mitdb"):
            result["records"][track.name] = _record(track, found)
            swept = {str(t): _counts(score_beats(track, find(track, logits, t))[0]) for t in THRESHOLDS}
            result["records"][track.name]["thresholds"] = swept
        result["fibrillation"] += _fibrillation(track, found, folder)
        print(
            fold, track.name, json.dumps({k: v for k, v in result["records"].get(track.name, {}).items() if k in ("qrs", "v")}), flush=True
        )
    if any(t.name == "mitdb/118" for t in tracks):
        for name in NOISY:
            (track,) = load_mitdb(folder, [f"nstdb/{name}"], channels=[0], prefix="nstdb")
            found = find(track, run(track, predict))
            everything = np.array([[LEARNING, len(track.signal)]])
            result["nstdb"][name] = [_counts(score_beats(track, found, s)[0]) for s in (UNSEEN_NOISE, everything)]
    return result


def _record(track: Track, found: Found) -> Result:
    later = np.array([[LEARNING, len(track.signal)]])
    qrs, v = score_beats(track, found)
    qrs_later, v_later = score_beats(track, found, later)
    where = {"missed_s": [round(s, 2) for s in qrs.missed], "extra_s": [round(s, 2) for s in qrs.extra]}
    return {"qrs": _counts(qrs), "v": _counts(v), "qrs_later": _counts(qrs_later), "v_later": _counts(v_later), **where}


def _fibrillation(track: Track, found: Found, folder: Path) -> list[list[Any]]:
    """Per second: record, reference rhythm, whether it is fibrillation, probability over 1 s and over 4 s."""
    target, probability, start = fibrillation_seconds(track, found)
    sections = (
        list(rhythms(folder, track.name, 250, len(track.signal))) if track.name.startswith("vfdb") else [(0, len(track.signal), "mitdb")]
    )
    begins = np.array([s[0] for s in sections])
    labels = [sections[i][2] if i >= 0 else "" for i in np.searchsorted(begins, start + 62, side="right") - 1]
    rows = []
    for i in range(len(target)):
        four = slice(i - FOUR_SECONDS + 1, i + 1)
        steady = i >= FOUR_SECONDS - 1 and start[i] - start[i - 3] == 3 * FS_HZ and len(set(labels[four])) == 1
        mean = round(float(probability[four].mean()), 4) if steady else None
        rows.append([track.name, labels[i], bool(target[i]), round(float(probability[i]), 4), mean])
    return rows


def _counts(score: Score) -> list[int]:
    return [score.tp, score.fp, score.fn]


def _sum(results: Sequence[Result], key: str, without: set[str] = frozenset()) -> Score:  # type: ignore[assignment]
    return total(Score(*r[key]) for result in results for name, r in result["records"].items() if name not in without)


def _spread(values: Sequence[float]) -> str:
    return f"{np.mean(values):.2f} ± {np.std(values):.2f}"


def _line(results: Sequence[Result], title: str, key: str, without: set[str] = frozenset()) -> str:  # type: ignore[assignment]
    s = _sum(results, key, without)
    by_fold = _spread([_sum([r], key, without).f1 for r in results])
    return f"| {title} | {s.f1:.2f} | {s.sensitivity:.2f} | {s.precision:.2f} | {by_fold} | {s.tp + s.fn} | {s.fn} | {s.fp} |"


def fibrillation_lines(results: Sequence[Result]) -> list[str]:
    """Sensitivity and specificity at 0.5, over one and four seconds, pooled and by fold."""
    lines = []
    for title, column in (("1 s", 3), ("4 s", 4)):
        for negatives, chosen in (
            ("all", lambda n, r: True),
            ("VFDB without noise", lambda n, r: n.startswith("vfdb") and r != "NOISE"),
            ("VT", lambda n, r: r == "VT"),
        ):
            pairs = []
            for result in [*results, {"fibrillation": [row for r in results for row in r["fibrillation"]]}]:
                rows = [r for r in result["fibrillation"] if r[column] is not None]
                yes = [r[column] > 0.5 for r in rows if r[2]]
                no = [r[column] <= 0.5 for r in rows if not r[2] and chosen(r[0], r[1])]
                pairs.append((100 * float(np.mean(yes)), 100 * float(np.mean(no)), len(yes), len(no)))
            se, sp, n_yes, n_no = pairs[-1]
            folds = f"{_spread([p[0] for p in pairs[:-1]])} | {_spread([p[1] for p in pairs[:-1]])}"
            lines.append(f"| {title} | {negatives} | {se:.2f} | {sp:.2f} | {folds} | {n_yes} | {n_no} |")
    return lines


def threshold_lines(results: Sequence[Result]) -> list[str]:
    """The QRS threshold: over all folds, and when each fold uses what is best on the others."""

    def counts(some: Sequence[Result], threshold: str) -> Score:
        return total(Score(*r["thresholds"][threshold]) for result in some for r in result["records"].values())

    lines = []
    for t in map(str, THRESHOLDS):
        s = counts(results, t)
        lines.append(f"| {t} | {s.f1:.3f} | {s.fn} | {s.fp} |")
    chosen, parts = [], []
    for result in results:
        others = [r for r in results if r is not result]
        chosen.append(max(map(str, THRESHOLDS), key=lambda t: counts(others, t).f1) if others else str(THRESHOLD))
        parts.append(counts([result], chosen[-1]))
    s = total(parts)
    return [*lines, f"| best on the other folds ({', '.join(chosen)}) | {s.f1:.3f} | {s.fn} | {s.fp} |"]


def report(results: Sequence[Result]) -> str:
    """The tables, in Markdown."""
    lines = [
        "| MITDB, first channel, 26 records, 150 ms | F1 | Se | +P | F1 over folds | beats | missed | extra |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [_line(results, "QRS, whole records", "qrs"), _line(results, "QRS, without the first 5 min", "qrs_later")]
    lines += [
        _line(results, "V, whole records, without paced", "v", PACED),
        _line(results, "V, with paced", "v"),
        _line(results, "V, without the first 5 min and paced", "v_later", PACED),
    ]
    lines += [
        "",
        "| VF and VFL: over | against | Se | Sp | Se over folds | Sp over folds | seconds of it | seconds of others |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += fibrillation_lines(results)
    lines += [
        "",
        f"| NSTDB, QRS | F1 in noise after minute {NOISE_FOR_TRAINING_MIN} (never trained on) | F1 after minute 5 | missed | extra |",
        "|---|---|---|---|---|",
    ]
    for name, (unseen, later) in next((r["nstdb"] for r in results if r["nstdb"]), {}).items():
        lines.append(f"| {name} | {Score(*unseen).f1:.2f} | {Score(*later).f1:.2f} | {later[2]} | {later[1]} |")
    lines += ["", "| QRS threshold | F1, whole records | missed | extra |", "|---|---|---|---|", *threshold_lines(results)]
    lines += ["", "| record | fold | QRS F1 | missed | extra | V Se | V +P | V |", "|---|---|---|---|---|---|---|---|"]
    for result in results:
        for name, r in result["records"].items():
            q, v = Score(*r["qrs"]), Score(*r["v"])
            of_v = f"{v.sensitivity:.1f} | {v.precision:.1f} | {v.tp + v.fn}" if v.tp + v.fn else f"- | - ({v.fp} extra) | 0"
            lines.append(f"| {name} | {result['fold']} | {q.f1:.2f} | {q.fn} | {q.fp} | {of_v} |")
    return "\n".join(lines) + "\n"


def write(results: Sequence[Result], folder: Path, plan: dict[str, Any]) -> None:
    """Print the tables, and keep them as cross_validation.md with the counts in cross_validation.json."""
    text = report(results)
    print(text)
    folder.mkdir(parents=True, exist_ok=True)
    head = "# Cross-validation of the beat network\n\n"
    head += f"`python -m models.training.train_beat --cross-validate`: three folds over patients, {plan}.\n\n"
    (folder / "cross_validation.md").write_text(head + text)
    counts = [{k: v for k, v in r.items() if k != "fibrillation"} for r in results]
    (folder / "cross_validation.json").write_text(json.dumps({"plan": plan, "folds": counts}, indent=1) + "\n")
