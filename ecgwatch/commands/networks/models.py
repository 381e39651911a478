"""ecgwatch models: the networks that ship with the product, and the architectures that others can
be trained of."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from ecgwatch import settings
from ecgwatch.modelling import extra
from ecgwatch.modelling.add_task import add_task, deploy
from ecgwatch.modelling.method import method

app = typer.Typer(
    no_args_is_help=True,
    help="The networks that ship with the product, and the architectures there are.",
)
app.command("add-task")(add_task)
app.command("deploy")(deploy)
app.command("method", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(
    method
)

Names = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[NAME]...",
        help="Shipped artifacts, or folders of others. Default: all that are shipped.",
    ),
]


@app.command("list")
def list_models() -> None:
    """List artifacts (tasks, parameters, cost, size, figures) and architectures."""
    # numpy and onnxruntime: not for the sake of --help
    from ecgwatch.modelling import leaderboard, tables
    from models import architectures
    from models.serving import catalogue

    typer.echo(tables.artifacts(catalogue.shipped()).text() + "\n")
    known = architectures.known()
    zoo = leaderboard.costs()
    counted = {name: zoo[name] for name in architectures.zoo() if name in zoo}
    missing = [name for name in known if name not in counted] if extra.is_installed() else []
    costs = counted | {name: extra.training("experiments.bench").cost(name) for name in missing}
    typer.echo(tables.architectures(known, costs).text())


@app.command("show")
def show(
    name: Annotated[str, typer.Argument(help="A shipped artifact, or the folder of another.")],
) -> None:
    """Show a model's card (data, split, figures, cost, limits of use) and its specification."""
    from models.serving import catalogue

    artifact = catalogue.find(name)
    typer.echo(
        (artifact.card or f"# {artifact.name}\n\nno card\n")
        + "\n## spec.json\n\n"
        + json.dumps(artifact.spec, indent=1, ensure_ascii=False)
    )


@app.command("bench")
def bench(
    names: Names = None,
    rounds: Annotated[int, typer.Option(min=1, help="Calls of each kind.")] = 300,
) -> None:
    """Latency of one window and of the processor's batch on one thread; where torch is installed,
    against torch and before pruning."""
    from ecgwatch.modelling import tables
    from models.serving import benchmark, catalogue

    found = [catalogue.find(name) for name in names] if names else catalogue.shipped()
    calls = [call for artifact in found for call in benchmark.onnx_calls(artifact)]
    if extra.is_installed():
        training = extra.training("experiments.bench")
        calls += [call for artifact in found for call in training.torch_calls(artifact)]
        calls += training.first_task_calls()
    calls.sort(
        key=lambda call: (call.network.partition(",")[0], call.batch, call.engine, call.network)
    )
    typer.echo(tables.timings(benchmark.measure(calls, rounds)).text())
    if not extra.is_installed():
        typer.echo(
            "without torch and the unpruned network: install the extra `train` to measure them in the same run"
        )


@app.command("compare")
def compare(
    names: Names = None,
    peers: Annotated[
        bool,
        typer.Option(
            "--peers",
            help="QRS of NeuroKit2 and wfdb on the records at hand, beside ours; takes minutes.",
        ),
    ] = False,
    database: Annotated[
        str, typer.Option(metavar="mitdb|nstdb|FOLDER", help="Records for --peers.")
    ] = "mitdb",
    records: Annotated[
        list[str] | None,
        typer.Option("--records", metavar="NAME", help="Only these; may be repeated."),
    ] = None,
    zoo: Annotated[
        bool, typer.Option("--zoo", help="The leaderboard of the zoo: accuracy and cost of each.")
    ] = False,
    board: Annotated[
        Path | None, typer.Option(help="A leaderboard.json of your own (RUNS/leaderboard.json).")
    ] = None,
    page: Annotated[
        Path | None, typer.Option(help="Also write the leaderboard as a page, with its plot.")
    ] = None,
) -> None:
    """Figures of artifacts side by side; with --peers, QRS detection of other programs on the same
    records in the same run; with --zoo, the leaderboard of all architectures of the zoo."""
    from ecgwatch.modelling import tables
    from models.serving import catalogue

    if zoo:
        show_zoo(board, page)
        return
    found = [catalogue.find(name) for name in names] if names else catalogue.shipped()
    typer.echo(tables.figures(found).text())
    if peers:
        from ecgwatch.modelling.peers import compare_on

        held, _ = settings.load({})
        folder = Path(database).expanduser()
        wanted = [name for some in records or [] for name in some.split(",")]
        for text in compare_on(folder if folder.is_dir() else held.data / database, wanted):
            typer.echo("\n" + text)


def show_zoo(board: Path | None, page: Path | None) -> None:
    """Print the leaderboard, and write its page."""
    from ecgwatch.modelling import leaderboard

    systems = leaderboard.read(board or leaderboard.SHIPPED)
    for table in leaderboard.tables(systems):
        typer.echo(table.text() + "\n")
    if page is not None:
        page.write_text(leaderboard.page(systems))
        typer.echo(f"page: {page}")


@app.command("explain")
def explain(
    record: Annotated[Path, typer.Argument(help="A WFDB record, without its suffix.")],
    model: Annotated[
        str,
        typer.Option(help="A shipped model, or the folder of a model or of a network of one lead."),
    ] = "ecgcl",
    at: Annotated[
        float | None,
        typer.Option(help="End of the window, or the R peak of a beat, in s. Default: the first."),
    ] = None,
    what: Annotated[
        str,
        typer.Option(
            metavar="rhythm|lethal|beat", help="Of a model of several tasks: which answer."
        ),
    ] = "rhythm",
    label: Annotated[
        str | None, typer.Option("--class", help="Class to explain. Default: the answer.")
    ] = None,
    out: Annotated[Path, typer.Option(help="The page to write.")] = Path("explained.html"),
) -> None:
    """Draw the weights of a network's answer below the signal: occlusion for any network and for
    the deployed model, and with the extra `train` Grad-CAM and attention maps of those that have
    them."""
    from ecgwatch.evaluating.page import document
    from ecgwatch.modelling.explaining import explain_anything, lines
    from ecgwatch.modelling.weight_strip import weight_strip

    found = explain_anything(record, model, at, what, label)
    typer.echo("\n".join(lines(found)))
    title = f"{record.name} from {found.start_s:g} s: why {found.answer}"
    out.write_text(document("Explained", weight_strip(title, found.window, found.weights)))
    typer.echo(f"page: {out}")
