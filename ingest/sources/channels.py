"""Which channel of a file is the ECG."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from ingest.bounds import MAX_NAME
from ingest.errors import BadInputError
from ingest.sources.units import is_voltage

_SAYS_ECG = re.compile(r"ECG|EKG|electrocardio", re.IGNORECASE)
# Leads by their usual names: I, II, aVR, V5, MLII, MV1, ML5, CM5, D3, V2-V3, "mod.V1", LL-RA, Vx-RL; alone or after "lead".
_ELECTRODE = r"(?:LA|RA|LL|RL|V[x1-9])"
_LEAD = re.compile(
    rf"(?:lead|mod\.?)?[\s_.-]*(?:M?L?(?:III|II|I)|ML[1-6]|a?V[RLF]|M?C?L?V[1-9]?R?|MCL[1-6]?|C[MCSRB][1-6]|D[1-4]|D(?:III|II|I)|V[XYZ]"
    rf"|V[1-9]-V[1-9]|{_ELECTRODE}[-_ ]{_ELECTRODE})",
    re.IGNORECASE,
)
# Electrodes of the 10-20 system: Fp1, Cz, C3-A2, T4-Ref; C3 and C4 alone may be chest leads.
_SCALP = r"(?:Fp[1-2z]|AF\d{1,2}|AFz|F(?:[1-9]|10|z)|F[CT]\d{1,2}|FCz|Cz|[TPO]\d{1,2}|[PO]z|CP\d|CPz|TP\d{1,2}|PO\d{1,2}|POz)"
_EEG = re.compile(
    rf"{_SCALP}(?:[-: ]\S+)?|C[1-6][-: ](?:{_SCALP}|C\d|[AM][12]|ref|av\w*|le)", re.IGNORECASE
)
_OTHER = re.compile(
    r"E[EMO]G|[BPS]CG|EDA|GSR|RESP|ABP|ART|CVP|PAP|ICP|\bBP\b|NIBP|PLETH|PPG|BVP|SPO2|SAO2|CO2|TEMP|FLOW|ACC|GYR|MAG|BATT|AUX|PULSE|HEART|\bHR\b"
    r"|\bRR\b|SNORE|POS|LIGHT|NOISE|MARK|TRIGGER|EVENT|STATUS|ANNOT|COUNT|INDEX|SAMPLE|TIME|DATE|\bSEQ|NSEQ|\bDI\d?\b",
    re.IGNORECASE,
)


def choose(
    names: Sequence[str],
    units: Sequence[str],
    wanted: str | int | None,
    *,
    record: str,
    recorded: Callable[[int], bool] = lambda i: True,
) -> int:
    """Index of the wanted channel (name, whatever its case, or index from 0).

    If none is wanted: the first of those that were `recorded` whose name or unit says ECG, else the first that bears the name of a lead,
    else the only one that can be an ECG at all. Raises BadInputError naming the channels there are.
    """
    if not names:
        raise BadInputError(f"{record}: has no signals", "Choose a record with an ECG.")
    if wanted is not None:
        return _named(names, str(wanted), record)
    possible = [i for i, unit in enumerate(units) if is_voltage(unit)]
    named_ecg = [i for i in possible if _SAYS_ECG.search(names[i]) or _SAYS_ECG.search(units[i])]
    leads = [i for i in possible if _LEAD.fullmatch(names[i].strip())]
    for group in (named_ecg, leads):
        if group:
            return next((i for i in group if recorded(i)), group[0])
    others = [i for i in possible if not _is_other(names[i])]
    if len(others) > 1:
        others = [i for i in others if recorded(i)]
    if len(others) == 1:
        return others[0]
    problem = f"{record}: none of its channels says that it is an ECG, and " + (
        "none can be one" if not others else "several may be"
    )
    raise BadInputError(
        problem, f"Choose with --channel NAME or INDEX; its channels are: {listed(names, units)}."
    )


def _is_other(name: str) -> bool:
    """Whether a channel's name says that it is no ECG."""
    return _OTHER.search(name) is not None or _EEG.fullmatch(name.strip()) is not None


def lead_name(name: str, index: int) -> str:
    """A channel's name as a stream may bear it: within the bounds of ingest/bounds.py, and never empty."""
    return (
        "".join(c if c.isprintable() else " " for c in name)[:MAX_NAME].strip()
        or f"channel {index}"
    )


def listed(names: Sequence[str], units: Sequence[str] = ()) -> str:
    """The channels as a person chooses among them."""
    inside = [f" [{unit}]" if unit else "" for unit in units] or [""] * len(names)
    return ", ".join(
        f"{i} {name}{unit}" for i, (name, unit) in enumerate(zip(names, inside, strict=True))
    )


def _named(names: Sequence[str], wanted: str, record: str) -> int:
    lower = [name.lower() for name in names]
    if wanted.lower() in lower:
        return lower.index(wanted.lower())
    if wanted.isdecimal() and int(wanted) < len(names):
        return int(wanted)
    raise BadInputError(
        f"{record}: has no channel {wanted!r}", f"Its channels are: {listed(names)}."
    )
