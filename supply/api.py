"""What is public: every name that a user may rely on, with its signature, for review; and the page that lists them.

    python supply/api.py          tests/golden/api.json, docs/api.md and src/pushforward/__init__.pyi, from the package as it is

A change of a public name or signature is a change of tests/golden/api.json, which a reviewer sees.
"""

from __future__ import annotations

import importlib
import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
GOLDEN = ROOT / "tests" / "golden" / "api.json"
PAGE = ROOT / "docs" / "api.md"
STUB = ROOT / "src" / "pushforward" / "__init__.pyi"
HEAD = "# Written by supply/api.py; tests/test_types.py holds it against the package."
DOORS = """fit sample log_prob bound energy evidence encode decode complete grad_log_prob score score_samples anomaly abilities reason
    get_params set_params changed summary graph units size save space device dtype""".split()
PARTS = {
    "pushforward": "What `import pushforward as pf` gives; each comes when it is first asked for.",
    "pushforward.Model": "What a model does. An ability that its mathematics does not give raises `Unable`, which says why.",
    "pushforward.Recipe": "How a model learns: keywords of `fit`, options of the command line.",
    "pushforward.Examples": "What a model learns from.",
    "pushforward.Space": "What one example is.",
    "pushforward.data": "Reading and making examples.",
    "pushforward.data.toys": "Points in the plane whose law is known: `toys.moons(1000, seed=0)`.",
    "pushforward.metrics": "Measures; what they answer with prints as words and is a number to `float`.",
    "pushforward.errors": "What goes wrong, with the exit code of the command line.",
    "pushforward.graphs": "Graphs in plate notation.",
    "pushforward.lessons": "The figures of the lectures.",
    "pushforward.noise": "For those who write systems: the one source of randomness.",
    "pushforward.maths.heads": "For those who write systems: what a network's numbers mean as a distribution.",
    "pushforward.maths.bijections": "For those who write systems: invertible maps.",
    "pushforward.maths.divergences": "Divergences of tensors; `metrics.divergence` asks models and samples.",
    "pushforward.maths.transport": "What it costs to carry one law into another, of tensors.",
    "command line": "Verbs and their options: `pushforward VERB --help` says more.",
}
KEPT = {
    "pushforward.data.toys": """checkerboard density eight_gaussians moons pinwheel rings spirals
        twentyfive_gaussians""".split(),
    "pushforward.Examples": "alike given head name of order part space split take to x".split(),
    "pushforward.Space": "kind shape levels names columns alphabet end discrete size read restore".split(),
}
CONSTANTS = {  # what has no docstring of its own
    "FORMATS": "The formats of files that are read, with their endings.",
    "SETS": "The built-in sets.",
    "TABLE": "The six divergences by name.",
    "LARGEST": "The largest sets that are carried exactly.",
    "builtin": "The built-in sets as functions.",
    "toys": "Points in the plane.",
    "beta1": "of Adam: how slowly the mean of the gradients moves",
    "beta2": "of Adam and RMSProp: how slowly the mean of their squares moves",
    "columns": "the columns of a table",
    "device": "Where the model's numbers are.",
    "dtype": "The type of the model's numbers.",
    "get_params": "The fields, by name: scikit-learn's.",
    "kind": "real, binary, levels, tokens or table",
    "levels": "how many levels a variable of kind levels has",
    "lr": "learning rate",
    "names": "the name of each variable",
    "size": "how many numbers one example has",
    "name": "What the examples are called.",
    "seed": "of the order of the examples, the noise and the first weights",
    "set_params": "Other values for fields: scikit-learn's.",
    "shape": "axes of one example",
    "space": "What one example is.",
    "time": "how long to train at most, as 90s, 2m, 1.5h",
    "units": "Nats an example in the units that readers know: bits, bits a dimension, a symbol.",
}


def flat(text: str) -> str:
    """A signature without what differs between machines and Pythons: addresses, and modules before a name."""
    text = re.sub(r" at 0x[0-9a-f]+", "", text)
    return re.sub(r"\b(?:[A-Za-z_]\w*\.)+([A-Za-z_]\w*)", r"\1", text)


def signature(thing: Any, bound: tuple[str, ...] = ("self",)) -> str:
    """The parameters of a function or class, their annotations left out: names, order, kinds and defaults are the promise."""
    try:
        told = inspect.signature(thing)
    except (TypeError, ValueError):
        return ""
    bare = [p.replace(annotation=p.empty) for p in told.parameters.values() if p.name not in bound]
    return flat(str(told.replace(parameters=bare, return_annotation=told.empty)))


def line(thing: Any, name: str = "") -> str:
    """The first sentence about it, or the first line."""
    if thing is None or isinstance(thing, dict | tuple | list | int | float | str):
        return CONSTANTS.get(name, "")
    text = thing.about if type(thing).__name__ == "Preset" else inspect.getdoc(thing)
    first = " ".join((text or "").strip().split("\n\n")[0].split())
    found = re.match(r".*?(?:[.](?= [A-Z(])|$)", first)
    return found[0].rstrip(".;") + "." if found and first else CONSTANTS.get(name, "")


def members(module: str) -> Iterator[tuple[str, Any]]:
    """The public names of a room: its `__all__`, else what it defines itself."""
    room = importlib.import_module(module)
    own = [n for n, v in vars(room).items() if not n.startswith("_") and getattr(v, "__module__", "") == module]
    for name in sorted(getattr(room, "__all__", own)):
        yield name, getattr(room, name)


def methods(kind: type) -> Iterator[tuple[str, Any]]:
    """The public members that a class defines itself, fields of a dataclass among them."""
    for name in sorted({*vars(kind), *getattr(kind, "__dataclass_fields__", {})}):
        if not name.startswith("_"):
            yield name, inspect.getattr_static(kind, name, None)


def open_up(thing: Any) -> Any:
    """The function behind a door, a property or a class method."""
    return getattr(thing, "door", None) or getattr(thing, "__func__", None) or getattr(thing, "fget", None) or thing


def entry(name: str, thing: Any, bound: tuple[str, ...] = ("self",)) -> dict[str, str]:
    return {"signature": signature(thing, bound) if callable(thing) else "", "line": line(thing, name)}


def of_fields(kind: type) -> dict[str, dict[str, str]]:
    """A dataclass: its fields with their defaults and comments, then its methods."""
    source = {}
    for text in inspect.getsource(kind).splitlines():
        if found := re.match(r"    (\w+): .*?  # (.*)", text):
            source[found[1]] = found[2]
    out = {}
    for name, thing in methods(kind):
        if name in kind.__dataclass_fields__:  # type: ignore[attr-defined]
            default = kind.__dataclass_fields__[name].default  # type: ignore[attr-defined]
            shown = "" if type(default).__name__ == "_MISSING_TYPE" else f" = {default!r}"
            out[name] = {"signature": shown, "line": source.get(name) or CONSTANTS.get(name, "")}
        else:
            out[name] = entry(name, open_up(thing))
            if isinstance(thing, property):
                out[name]["signature"] = ""
    return out


def verbs() -> dict[str, dict[str, str]]:
    """The commands and the parameters that each takes."""
    from pushforward.cli import app

    found, groups = {}, [("", app), *((f"{group.name} ", group.typer_instance) for group in app.registered_groups)]
    for prefix, group in groups:
        for command in group.registered_commands if group else []:
            verb: Any = command.callback
            words = ", ".join(p for p in inspect.signature(verb).parameters if p != "context")
            found[prefix + (command.name or verb.__name__)] = {"signature": f"({words})", "line": line(verb)}
    return dict(sorted(found.items()))


def of_doors(kind: type, names: list[str]) -> dict[str, dict[str, str]]:
    """The named members of a class; a property has no parameters."""
    out = {}
    for name in names:
        thing = inspect.getattr_static(kind, name, None)
        out[name] = entry(name, open_up(thing), ("self", "model"))
        if isinstance(thing, property):
            out[name]["signature"] = ""
    return out


def of_problems() -> dict[str, dict[str, str]]:
    """The errors, with their exit codes."""
    from pushforward import errors

    found = {n: t for n, t in vars(errors).items() if isinstance(t, type) and issubclass(t, errors.Problem)}
    return {n: {"signature": f"exit code {kind.exit_code}", "line": line(kind)} for n, kind in sorted(found.items())}


def api() -> dict[str, dict[str, dict[str, str]]]:
    """Every public name by the part it belongs to, with its signature and a line about it."""
    import pushforward as pf

    out: dict[str, dict[str, dict[str, str]]] = {
        "pushforward": {name: entry(name, getattr(pf, name)) for name in dir(pf)},
        "pushforward.Model": of_doors(pf.Model, DOORS),
        "pushforward.Recipe": of_fields(pf.Recipe),
        "pushforward.Examples": of_doors(pf.Examples, KEPT["pushforward.Examples"]),
        "pushforward.Space": of_fields(pf.Space),
        "pushforward.errors": of_problems(),
        "command line": verbs(),
    }
    out["pushforward.Space"] = {name: out["pushforward.Space"][name] for name in KEPT["pushforward.Space"]}
    for part in PARTS:
        if part not in out:
            found = {name: entry(name, thing) for name, thing in members(part)}
            out[part] = {name: found[name] for name in KEPT.get(part, found)}
    return {part: out[part] for part in PARTS}


def escaped(text: str) -> str:
    """Text as Markdown shows it: its marks are letters, but for those of code."""
    parts = re.split(r"(`[^`]+`)", text)
    return "".join(part if i % 2 else re.sub(r"([*_<>\[\]$|])", r"\\\1", part) for i, part in enumerate(parts))


def page(told: dict[str, dict[str, dict[str, str]]]) -> str:
    """docs/api.md."""
    out = [
        "# The public names\n",
        "Everything here is public, in the meaning of [stability](stability.md); what is not here may change without a word. The page\n"
        "is written by `python supply/api.py`, and a test holds it, and every signature, against the package.\n",
    ]
    for part, entries in told.items():
        out.append(f"## {part}\n\n{PARTS[part]}\n")
        for name, one in entries.items():
            shown = one["signature"] if part != "pushforward.errors" else f", {one['signature']}"
            head = f"`{name}{shown}`" if len(name + shown) <= 150 else f"`{name}(…)`"
            out.append(f"- {head}" + (f": {escaped(one['line'])}" if one["line"] else ""))
        out.append("")
    return "\n".join(out)


def stub() -> str:
    """src/pushforward/__init__.pyi: what type checkers and editors read in the place of names that come when they are asked for."""
    import pushforward as pf
    from pushforward import catalogue

    found = [("", room) for room in vars(pf)["_ROOMS"]] + [(room, name) for name, room in vars(pf)["_NAMES"].items()]
    found += [(f"models.{family}", name) for name, family in catalogue.names().items()]
    presets = [f"{name.replace('-', '_')}: Preset" for name in sorted(catalogue.presets())]
    return (
        "\n".join([HEAD, *imports([*found, ("catalogue", "Preset")], {"Preset"}), "", "__version__: str", *presets])
        + "\n"
    )


def imports(found: list[tuple[str, str]], own: set[str] = frozenset()) -> list[str]:  # type: ignore[assignment]
    """Lines that bring names from rooms, in the order that ruff asks for; `own` ones are not passed on."""

    def place(one: tuple[str, str]) -> tuple[str, int, str]:
        return one[0], 0 if one[1].isupper() else 1 if one[1][0].isupper() else 2, one[1].lower()

    return [
        f"from .{room} import {name}" + ("" if name in own else f" as {name}")
        for room, name in sorted(found, key=place)
    ]


def write() -> None:
    STUB.write_text(stub(), encoding="utf-8")
    told = api()
    GOLDEN.parent.mkdir(exist_ok=True)
    GOLDEN.write_text(json.dumps(told, indent=1, ensure_ascii=False, sort_keys=False) + "\n", encoding="utf-8")
    PAGE.write_text(page(told), encoding="utf-8")
    print(f"{sum(map(len, told.values()))} names in {GOLDEN.relative_to(ROOT)} and {PAGE.relative_to(ROOT)}")


if __name__ == "__main__":
    write()
