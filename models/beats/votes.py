"""Vote on ventricular beats by morphology: how ventricular earlier beats of the same template looked.
The ONE rule for training's figures and for serving.

A patient's beats come in few morphologies, and a morphology is hardly ever ventricular at one time
and normal at another. The odds of V that the network gives a beat are therefore averaged with those
of earlier beats that joined the same template (models/beats/templates.py), as Llamedo and Martinez
(2012, DOI 10.1109/TBME.2012.2202662) let clusters of beats vote. We differ: the vote is causal, on
odds instead of labels, and only for V against N and S, because an S beat mostly has the morphology of
the patient's normal beats. Only the network's own odds vote, so a beat that was outvoted outvotes no
other.

VOTE and DOUBT were chosen on patients of MITDB that the networks (of a third of the patients each)
had not seen; values near them do as well. There it made no difference whether a beat that hardly
resembles its template hears the vote in full. That it does not (SAME) is for irregular tachycardias:
one of them (VFDB 607, 30:48) was missed because one of its beats came near the patient's normal
morphology.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from models.beats.morphology import Doubles
from models.beats.templates import JOIN, SLOTS
from models.signal.stage import Field, Rows, Table

VOTE = 0.8  # weight of a template of many beats; the beat itself has the rest
DOUBT = 5.0  # earlier beats with which a template has half of that weight
SAME = 0.9  # similarity from which the whole weight counts; at JOIN none does
MOST = 200  # earlier beats in the mean, approximately
N, S, V = range(3)

FIELDS = {
    # mean log odds of V against N and S of the beats that joined the template
    "odds": Field(np.float64, (SLOTS,)),
    "voters": Field(np.float64, (SLOTS,)),  # number of these beats
}


def vote(
    state: Table, rows: Rows, slot: npt.NDArray[np.intp], like: Doubles, logits: Doubles
) -> Doubles:
    """Apply the vote of its template to one beat of each row, and add the beat to the template's
    votes.

    Args:
        state: rows of FIELDS; changed.
        rows: (B,), each once.
        slot: (B,) template that the beat joined.
        like: (B,) similarity to that template; below JOIN the beat began it.
        logits: (B, 5) of N S V F Q.

    Returns the logits (B, 5) with V's changed. The vote scales with the logits.
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
