"""Occlusion: finds the parts of a window on which a network's answer depends. A stretch of the
window is hidden, and the network is run again.

After Zeiler and Fergus 2014 (DOI 10.1007/978-3-319-10590-1_53); works for any network, whatever is
inside it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
# windows (B, T) to what is asked about (B,), such as the probability of a class
Answer = Callable[[Floats], Floats]


def occlusion(answer: Answer, window: Floats, width: int, step: int) -> Floats:
    """How much lower the answer is without each part of the window: (T // step,), negative if it is
    higher.

    A stretch of `width` samples is replaced by the straight line between its ends, every `step`
    samples; a part's value is the mean over the stretches that cover it.
    """
    length = len(window)
    starts = np.arange(step // 2 - width // 2, length - step // 2, step)
    ends = [(max(0, s), min(length, s + width)) for s in starts.tolist()]
    covered = np.stack([_without(window, begin, end) for begin, end in ends])
    drop = float(answer(window[None])[0]) - answer(covered)
    parts = np.arange(length // step) * step + step // 2
    inside = (starts <= parts[:, None]) & (parts[:, None] < starts + width)  # (parts, stretches)
    return np.asarray((inside * drop).sum(axis=1) / np.maximum(inside.sum(axis=1), 1), np.float32)


def _without(window: Floats, begin: int, end: int) -> Floats:
    hidden = window.copy()
    hidden[begin:end] = np.linspace(window[begin], window[end - 1], end - begin)
    return hidden
