"""The rhythm network: 30 s of one lead in, logits of the CinC 2017 classes out."""

from __future__ import annotations

from models.architectures.recurrent import Recurrent

CLASSES = 4


class RhythmNet(Recurrent):
    """(B, 1, 3750) scaled samples at 125 Hz, zeros on the left where there was no signal, to (B, 4) logits."""

    def __init__(self, dropout: float = 0.2) -> None:
        super().__init__(CLASSES, dropout)
