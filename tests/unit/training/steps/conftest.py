"""One thread: small networks are slower on several."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch = pytest.importorskip(
        "torch", reason="torch is not installed: pip install 'ecgwatch[train]'"
    )
    torch.set_num_threads(1)
