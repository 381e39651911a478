"""What an answer hangs on: occlusion finds it from outside, the strip draws it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import wfdb
from typer.testing import CliRunner

from ecgwatch.__main__ import app
from ecgwatch.modelling.weight_strip import weight_strip
from models.occlusion import occlusion


def test_occlusion_finds_what_the_answer_is_made_of() -> None:
    window = np.zeros(1250, np.float32)
    window[400:410] = 1  # the answer is the largest value

    def largest(x: np.ndarray) -> np.ndarray:
        return x.max(axis=1)

    weights = occlusion(largest, window, width=50, step=25)
    assert weights.shape == (50,)
    assert int(weights.argmax()) in (15, 16)
    assert weights[16] > 0.4
    assert np.abs(np.delete(weights, range(13, 20))).max() == 0


def test_what_speaks_against_an_answer_is_negative() -> None:
    window = np.zeros(500, np.float32)
    window[100:110] = -1
    weights = occlusion(lambda x: x.min(axis=1), window, width=50, step=25)
    assert weights.min() < -0.4
    assert weights.max() <= 0


def test_the_strip_has_a_box_for_every_part_of_every_explanation() -> None:
    text = weight_strip(
        "A <b>", np.sin(np.arange(100, dtype=np.float32)),
        {"occlusion": np.array([0.5, -1, 0], np.float32), "Grad-CAM": np.ones(2, np.float32)},
    )  # fmt: skip
    assert text.count("<rect") == 5
    assert "A &lt;b&gt;" in text
    assert text.count("#3b6ea5") == 1


def test_a_record_is_explained_by_a_network_of_the_zoo(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    from models import architectures
    from models.training.problems import PIECE
    from models.training.release.windowed_export import export

    time = np.arange(0, 15, 1 / 250)
    beats = np.exp(40 * (np.cos(2 * np.pi * time) - 1))
    wfdb.wrsamp("made", 250, ["mV"], ["I"], beats[:, None], fmt=["16"], write_dir=str(tmp_path))
    for name, maps in (("mvkt", {"Grad-CAM"}), ("mina", {"attention: beats", "attention: rhythm"})):
        folder = tmp_path / name
        net = architectures.load(name).build(PIECE)
        export(net, PIECE, folder, {"architecture": name})
        torch.save({"net": net.state_dict()}, folder / "fold0.pt")
        out = tmp_path / f"{name}.html"
        arguments = ["models", "explain", str(tmp_path / "made"), "--model", str(folder)]
        result = CliRunner().invoke(app, [*arguments, "--at", "12", "--out", str(out)])
        assert result.exit_code == 0, result.output
        assert "from 2 s" in result.stdout
        for one in {"occlusion", *maps}:
            assert one in result.stdout
            assert one in out.read_text()
    for wrong in (["--at", "99"], ["--class", "VT"]):
        assert CliRunner().invoke(app, [*arguments, *wrong]).exit_code != 0
