"""ecgwatch models: the networks that ship with the product."""

from __future__ import annotations

import typer

app = typer.Typer(no_args_is_help=True, help="The networks that ship with the product.")


@app.command("list")
def list_models() -> None:
    """One line per model: name, window, size."""
    from models import runtime  # scipy and onnxruntime: not for the sake of --help

    for name in runtime.names():
        network = runtime.load(name)
        size = (runtime.ARTIFACTS / name / "model.onnx").stat().st_size
        window = f"{network.spec.length / network.spec.fs_hz:g} s window every {network.spec.hop / network.spec.fs_hz:g} s"
        typer.echo(f"{name:10} {window:30} {network.meta.get('parameters', '?'):>8} parameters {size / 1000:8.0f} kB")


@app.command("show")
def show(name: str) -> None:
    """A model's card: data, split, figures, cost, what it is not for."""
    from models import runtime

    runtime.load(name)
    typer.echo((runtime.ARTIFACTS / name / "card.md").read_text())
