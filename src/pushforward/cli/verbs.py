"""The verbs and their words."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from .. import catalogue
from ..errors import Problem
from . import anomalies, comparing, judging, lessons
from .speech import HERE, deliver, ready, say, show, spelled, table, told
from .words import Data, Device, Given, Json, ModelPath, Out, Overwrite, Quiet, Read, Seed

KEYS = {
    "no_args_is_help": False,
    "pretty_exceptions_enable": False,
    "context_settings": {"help_option_names": ["--help", "-h"]},
}
app = typer.Typer(help="Deep generative models: draw, score, fill in, encode.", **KEYS)  # type: ignore[arg-type]
data_app = typer.Typer(help="Built-in data: list them, or write them to a file.", **KEYS)  # type: ignore[arg-type]
app.add_typer(data_app, name="data")
app.add_typer(lessons.app, name="lesson")
app.command(epilog=anomalies.EPILOG)(anomalies.anomaly)
app.command(epilog=comparing.EPILOG)(comparing.compare)
app.command(epilog=judging.EPILOG)(judging.report)


def version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version as of

        print(f"pushforward {of('pushforward')}")
        raise typer.Exit()


@app.callback(invoke_without_command=True)
def top(
    ctx: typer.Context,
    shown: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=version, is_eager=True)
    ] = False,
) -> None:
    if ctx.invoked_subcommand is None and (text := ctx.get_help()):
        print(text)


def model_names(incomplete: str) -> list[str]:
    """Completion of --model, in the letter case that was begun, since shells drop what does not start as typed."""
    return [
        incomplete + name[len(incomplete) :]
        for name in (*catalogue.names(), *catalogue.presets())
        if name.lower().startswith(incomplete.lower())
    ]


@app.command(
    epilog="Examples: pushforward fit my.csv · pushforward fit moons --model MAF --time 1m --set lr=0.001 -o moons.pf"
)
def fit(
    data: Data,
    model: Annotated[
        str,
        typer.Option(
            "--model",
            "-m",
            help="A name from `pushforward models`; without one, a sensible one is chosen.",
            autocompletion=model_names,
        ),
    ] = "",
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="The model's folder. Without: DATA's name with .pf.", show_default=False),
    ] = None,
    pairs: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            "-s",
            metavar="NAME=VALUE",
            help="A field of the model or a setting of the training.",
            show_default=False,
        ),
    ] = None,
    time: Annotated[
        str | None, typer.Option("--time", help="Stop after this long: 90s, 2m, 1h.", show_default=False)
    ] = None,
    given: Annotated[
        list[str] | None,
        typer.Option("--given", metavar="COLUMN", help="Learn p(the rest | this column).", show_default=False),
    ] = None,
    valid: Annotated[
        str,
        typer.Option("--valid", help="Held-out examples: a share such as 0.2, or another file.", show_default=False),
    ] = "",
    read: Read = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the last checkpoint in the model's folder.")
    ] = False,
    overwrite: Overwrite = False,
    shards: Annotated[
        bool, typer.Option("--shards", help="Under torchrun: spread the weights over the processes.")
    ] = False,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write TensorBoard's files into the model's folder.")
    ] = False,
    json: Json = False,
    seed: Seed = None,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Learn a model from DATA and save it."""
    from .. import workbench

    fitted = workbench.fit(
        data,
        model,
        out,
        pairs=pairs or (),
        said=workbench.options(read or ()),
        given=given or (),
        valid=valid,
        time=time,
        seed=seed,
        resume=resume,
        overwrite=overwrite,
        device=device,
        shards=shards,
        tensorboard=tensorboard,
        quiet=quiet or json,
        tell=lambda name, why: say(f"No model was named: {name} it is. {why}", quiet or json or not workbench.first()),
    )
    if workbench.first():
        report(fitted, json, quiet)
    if fitted.reason == "interrupted":
        say(
            f"Interrupted at step {fitted.model.outcome_.get('step')}; {fitted.path} holds a usable model. Go on with --resume.",
            quiet or json or not workbench.first(),
        )
        raise typer.Exit(130)


def report(fitted: Any, as_json: bool, quiet: bool) -> None:
    facts = fitted.to_json()
    if not as_json:
        bits = f", {facts['held_out_bits/dim']:.4g} bits/dim" if "held_out_bits/dim" in facts else ""
        kind = fitted.model.abilities.get("log_prob") or fitted.model.abilities.get("bound")
        nats = None if fitted.nats is None else f"{fitted.nats:.5g} nats an example{bits} ({kind}), at its best"
        taken = f"{facts['seconds']:.1f} s, " if facts["seconds"] else ""
        facts = {
            "model": repr(fitted.model),
            "from": f"{facts['examples']:,} examples: {facts['space']}",
            "trained": f"{taken}{facts['steps']:,} steps, ended by {facts['ended_by']}"
            if facts["steps"]
            else "solved at once",
            "held out": nats,
            "remark": facts["remark"],
            "can": facts["abilities"],
            "saved in": facts["out"],
        }
    show(facts, as_json, quiet)


@app.command(
    epilog="Examples: pushforward sample m.pf -n 1000 -o new.csv · pushforward sample digits.pf -n 64 -o sheet.png --given label=3"
)
def sample(
    model: ModelPath,
    n: Annotated[int, typer.Option("-n", "--number", min=0, help="How many.")] = 16,
    given: Given = None,
    out: Out = None,
    overwrite: Overwrite = False,
    json: Json = False,
    seed: Seed = None,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Draw new examples, written as what went in: rows, images, text, arrays."""
    from .. import workbench

    ready(out, overwrite)
    if out is not None and workbench.many(n, out):
        place = workbench.draw(model, n, out, given or (), seed, device, overwrite)
        return told(place, n, json, quiet) if workbench.first() else None
    if not workbench.first():
        return
    drawn = workbench.sample(model, n, given or (), seed, device)
    deliver(drawn.data, drawn.space, out, overwrite, json, quiet, "samples")


@app.command(
    epilog="Examples: pushforward score m.pf test.csv · pushforward score vae.pf test.npy --by evidence -o rows.csv"
)
def score(
    model: ModelPath,
    data: Data,
    by: Annotated[
        str,
        typer.Option("--by", help="log_prob, bound, evidence or energy; without, the most exact.", show_default=False),
    ] = "",
    given: Given = None,
    read: Read = None,
    out: Out = None,
    overwrite: Overwrite = False,
    json: Json = False,
    seed: Seed = None,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """How likely each example is: mean nats with standard error, bits per dimension, kind and measure; each row to --out."""
    import pandas as pd

    from .. import workbench

    ready(out, overwrite, json, numbers=True)
    found = workbench.score(model, data, by, workbench.options(read or ()), given or (), seed or 0, device)
    if not workbench.first():
        return
    if found.impossible:
        say(
            f"{found.impossible} of {len(found.values)} rows are impossible for this model (log p = −∞).", quiet or json
        )
    rows = pd.DataFrame({"energy" if found.by == "energy" else "nats": found.values})
    if out == HERE:
        return deliver(rows, None, out, overwrite, json, quiet, "rows")
    placed = {} if out is None else {"out": str(workbench.write(rows, None, out, overwrite))}
    facts = found.to_json()
    for name in ("says", "impossible", "broken"):  # beside the kind, and where there are none, they say nothing
        if not json and facts[name] in (0, found.kind):
            del facts[name]
    show(facts | placed, json, quiet and out is not None)


@app.command(
    epilog="Examples: pushforward complete m.pf holes.csv -o full.csv · pushforward complete gpt.pf --prompt 'To be'"
)
def complete(
    model: ModelPath,
    data: Annotated[
        str, typer.Argument(help="A file with gaps: empty cells, NaN, lines of text to go on with.", show_default=False)
    ] = "",
    prompt: Annotated[
        list[str] | None, typer.Option("--prompt", help="A text to go on with.", show_default=False)
    ] = None,
    known: Annotated[
        str,
        typer.Option(
            "--known",
            help="What is known of images: top, bottom, left, right, or a .npy file of truths.",
            show_default=False,
        ),
    ] = "",
    given: Given = None,
    read: Read = None,
    out: Out = None,
    overwrite: Overwrite = False,
    json: Json = False,
    seed: Seed = None,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Fill in what is missing by drawing it from p(missing | known)."""
    from .. import workbench

    ready(out, overwrite)
    full = workbench.complete(
        model, data, prompt or (), known, workbench.options(read or ()), given or (), seed or 0, device
    )
    deliver(full.data, full.space, out, overwrite, json, quiet, "completed")


@app.command(epilog="Example: pushforward encode vae.pf images/ -o codes.npy")
def encode(
    model: ModelPath,
    data: Data,
    given: Given = None,
    read: Read = None,
    out: Out = None,
    overwrite: Overwrite = False,
    json: Json = False,
    seed: Seed = None,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """The latent code of each example."""
    from .. import workbench

    ready(out, overwrite, numbers=True)
    codes = workbench.encode(model, data, workbench.options(read or ()), given or (), seed or 0, device)
    deliver(codes.data, None, out, overwrite, json, quiet, "codes")


@app.command(epilog="Example: pushforward decode vae.pf codes.npy -o images.png")
def decode(
    model: ModelPath,
    codes: Annotated[
        str, typer.Argument(help="Codes, as `pushforward encode` writes them: .npy, .csv …", show_default=False)
    ],
    given: Given = None,
    out: Out = None,
    overwrite: Overwrite = False,
    json: Json = False,
    seed: Seed = None,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """The example of each code."""
    from .. import workbench

    ready(out, overwrite)
    found = workbench.decode(model, codes, given or (), seed or 0, device)
    deliver(found.data, found.space, out, overwrite, json, quiet, "examples")


@app.command(epilog="Examples: pushforward models · pushforward models VAE")
def models(
    name: Annotated[
        str,
        typer.Argument(help="One model: its fields and its training.", show_default=False, autocompletion=model_names),
    ] = "",
    json: Json = False,
    seed: Seed = None,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """The catalogue: every system, what it takes and what it can."""
    if not name:
        rows = catalogue.table()
        return show({"models": rows}, True) if json else table(rows)
    kind = catalogue.find(name)
    about = next(row for row in catalogue.table() if row["model"] == kind.__name__)
    said = kind.comments()
    fields = [{"field": f, "default": getattr(kind, f), "what it is": said.get(f, "")} for f in kind.fields]
    if json:
        return show(about | {"fields": fields, "recipe": vars(kind.recipe)}, True)
    show(about | {"why not": kind.why_not}, False)
    table(fields)
    show({"training": spelled(vars(kind.recipe))}, False)


@app.command(epilog="Examples: pushforward inspect m.pf · pushforward inspect my.csv")
def inspect(
    path: Data, read: Read = None, json: Json = False, seed: Seed = None, device: Device = "auto", quiet: Quiet = False
) -> None:
    """The facts of a saved model, or how a file would be read and which model it would get."""
    from .. import workbench

    facts = workbench.inspect(path, workbench.options(read or ()))
    columns = [] if json else facts.pop("columns", [])
    if not json:  # told in other lines already
        facts = {name: value for name, value in facts.items() if name not in ("abilities", "outcome")}
        facts["fields"] = spelled(facts.get("fields", {}))
    show(facts, json)
    if columns:
        table(columns)


@app.command(epilog="Example: pushforward verify m.pf")
def verify(
    paths: Annotated[list[str], typer.Argument(metavar="MODEL…", help="Saved models.", show_default=False)],
    json: Json = False,
    seed: Seed = None,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Check every file of a model against the hashes that were written with it."""
    from .. import workbench

    found = [workbench.verify(path) for path in paths]
    if json:
        return show({"models": found} if len(found) > 1 else found[0], True)
    for one in found:
        if not quiet:
            print(f"{one['model']} is whole: {one['files']} files, {one['checkpoints']} checkpoints.")


@data_app.callback(invoke_without_command=True)
def data_top(ctx: typer.Context) -> None:
    if ctx.invoked_subcommand is None and (text := ctx.get_help()):
        print(text)


@data_app.command("list")
def data_list(json: Json = False, seed: Seed = None, device: Device = "auto", quiet: Quiet = False) -> None:
    """The built-in sets."""
    from ..data.load import SETS

    rows = [{"name": name, "about": about} for name, (_, _, about) in SETS.items()]
    show({"sets": rows}, True) if json else table(rows)


@data_app.command("make", epilog="Example: pushforward data make moons -n 1000 -o moons.csv")
def data_make(
    name: Annotated[str, typer.Argument(help="A name from `pushforward data list`.", show_default=False)],
    n: Annotated[
        int | None, typer.Option("-n", "--number", min=1, help="How many examples.", show_default=False)
    ] = None,
    read: Read = None,
    out: Out = None,
    overwrite: Overwrite = False,
    json: Json = False,
    seed: Seed = None,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Write a built-in set to a file, or print it."""
    from .. import workbench

    ready(out, overwrite)
    made, space = workbench.make(name, n, seed or 0, workbench.options(read or ()))
    deliver(made, space, out, overwrite, json, quiet, "examples")


@app.command()
def doctor(json: Json = False, seed: Seed = None, device: Device = "auto", quiet: Quiet = False) -> None:
    """What this machine has: versions, devices, threads, memory, disk."""
    from ..engine.machine import device_of
    from ..workbench import doctor as examine

    show(examine() | {"device": str(device_of(device))}, json)


@app.command(epilog="Example: pushforward demo --out demo")
def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder of the report.")] = Path("demo"),
    time: Annotated[str, typer.Option("--time", help="Time for the whole demo.")] = "150s",
    only: Annotated[
        list[str] | None,
        typer.Option("--model", "-m", help="These systems alone.", autocompletion=model_names, show_default=False),
    ] = None,
    json: Json = False,
    seed: Seed = None,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Train every system for a moment on built-in data; print a table and write a report with pictures."""
    from .. import demo as play

    rows = play.run(out, time, only or (), seed or 0, device, tell=lambda text: say(text, quiet or json))
    if json:
        show({"report": str(out / "report.html"), "systems": rows}, True)
    else:
        table([{name: value for name, value in row.items() if name != "said"} for row in rows])
    say(f"The pictures are in {out / 'report.html'}.", quiet or json)
    if any(row["said"] for row in rows):
        raise Problem("Not done: " + "; ".join(f"{row['system']}: {row['said']}" for row in rows if row["said"]))
