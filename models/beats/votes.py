"""What a beat is called by its form: how ventricular the beats of the same shape looked so far. The
ONE rule for training's figures and for serving.

A patient's beats come in few forms, and a form is hardly ever ventricular now and normal then. So
the odds of V that the network gives a beat are averaged with those of the earlier beats which
joined the same usual beat (models/beats/templates.py), as Llamedo and Martinez (2012, DOI
10.1109/TBME.2012.2202662) let clusters of beats vote; we differ: causal, on odds in place of calls,
and only for V against N and S, for an S beat mostly has the form of the patient's normal ones. The
votes are of the network alone, so a beat that was outvoted outvotes none.

VOTE and DOUBT were chosen on patients of MITDB that the networks (of a third of the patients each)
had not seen; values near them do as well. There a beat that is hardly like its form may as well
hear it in full: that it does not (SAME) is for irregular tachycardias, one of which (VFDB 607,
30:48) went untold because one of its beats came near the patient's normal form.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from models.beats.morphology import Doubles
from models.beats.templates import JOIN, SLOTS
from models.signal.stage import Field, Rows, Table

VOTE = 0.8  # weight of a form of many beats; the beat itself has the rest
DOUBT = 5.0  # earlier beats that a form needs for half of that
SAME = 0.9  # likeness from which a form's whole weight counts; none at JOIN
MOST = 200  # earlier beats of which the mean is taken, about
N, S, V = range(3)

FIELDS = {
    # mean of log odds of V against N and S, of the beats that joined
    "odds": Field(np.float64, (SLOTS,)),
    "voters": Field(np.float64, (SLOTS,)),  # how many they are
}


def vote(
    state: Table, rows: Rows, slot: npt.NDArray[np.intp], like: Doubles, logits: Doubles
) -> Doubles:
    """The logits of one beat of each row after the vote of its form, which it then joins.

    Args:
        state: rows of FIELDS; changed.
        rows: (B,), each once.
        slot: (B,) place of the usual beat that it belongs to.
        like: (B,) how like that one it is; below JOIN it began it.
        logits: (B, 5) of N S V F Q.

    Returns: (B, 5), V's changed. Logits that are larger by a factor give answers that are larger by
    that factor.
    """
    own = logits[:, V] - np.maximum(logits[:, N], logits[:, S])
    joined = like >= JOIN
    count = np.where(joined, state.voters[rows, slot], 0.0)
    mean = np.where(joined, state.odds[rows, slot], 0.0)
    weight = VOTE * np.clip((like - JOIN) / (SAME - JOIN), 0.0, 1.0) * count / (count + DOUBT)
    voted = logits.copy()
    voted[:, V] += weight * (mean - own)
    count = np.minimum(count + 1, MOST)
    state.odds[rows, slot] = mean + (own - mean) / count
    state.voters[rows, slot] = count
    return voted
