"""The simulator as a source of signal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ingest.simulator.generate import simulate
from ingest.simulator.scenario import Scenario
from ingest.sources.base import Block


class SimulatedSource:
    """One simulated patient. `duration_s` defaults to the length of the script, or to no end if it
    loops."""

    device_id = "simulator"

    def __init__(
        self,
        scenario: Scenario,
        *,
        seed: int | None = None,
        duration_s: float | None = None,
        name: str | None = None,
    ) -> None:
        self._scenario, self._seed = scenario, seed
        self.name = name or scenario.name
        self.fs_hz, self.counts_per_mv, self.lead = (
            scenario.fs_hz,
            scenario.counts_per_mv,
            scenario.lead,
        )
        self.duration_s = (
            scenario.script_s if duration_s is None and not scenario.loop else duration_s
        )

    def blocks(self, start_s: float = 0.0) -> Iterator[Block]:
        """Blocks from the sample nearest to `start_s` on. Raises BadInputError if the script ends
        before."""
        return _from(
            simulate(self._scenario, seed=self._seed, duration_s=self.duration_s),
            round(start_s * self.fs_hz),
        )


def _from(blocks: Iterator[Block], first: int) -> Iterator[Block]:
    """The blocks from a sample on; annotations keep their place in the record."""
    at = 0
    for block in blocks:
        skip, at = max(first - at, 0), at + len(block.counts)
        if skip < len(block.counts):
            yield replace(
                block,
                counts=block.counts[skip:],
                annotations=tuple(a for a in block.annotations if a.sample >= first),
            )
