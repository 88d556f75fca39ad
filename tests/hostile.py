"""What the tests of hostile files share: a child process that watches itself, and the ways to break a model folder."""

from __future__ import annotations

import json
import os
import pickle
import resource
import shutil
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

import pushforward as pf
from pushforward.errors import Problem

sys.path.insert(0, str(Path(__file__).parent))
import fuzz

ROOM = 64 << 20  # bytes that a refusal may take beyond the size of the files
SECONDS = 20
CANARY = "canary-of-pushforward"


class Payload:
    """What a pickle with code in it looks like: unpickled, it leaves a file."""

    def __init__(self, place: Path):
        self.place = place

    def __reduce__(self):
        return os.system, (f"touch {self.place}",)


# ---- one try -----------------------------------------------------------------------------------------------------
def attempt(what: Callable[[], Any], allowed: Path, room: int = ROOM) -> tuple[str, str]:
    """(kind of error or "loaded", message) of a call in a child of this process, with all that it must not do checked."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        found: list[Any] = ["died", "", 0, []]
        try:
            signal.alarm(SECONDS)
            found = watched(what, allowed)
        finally:
            os.write(writing, json.dumps(found).encode("utf-8", "surrogatepass")[: 1 << 15])
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        told = pipe.read()
    _, status = os.waitpid(child, 0)
    assert status == 0 and told, f"the child ended with status {status}: it hung or crashed"
    kind, said, grown, touched = json.loads(told)
    assert not touched, f"touched outside: {touched}"
    assert grown <= room, f"{grown >> 20} MiB more memory; {said}"
    return kind, said


def watched(what: Callable[[], Any], allowed: Path) -> list[Any]:
    touched: list[str] = []
    homes = (
        str(allowed),
        sys.prefix,
        sys.base_prefix,
        str(Path(pf.__file__).parents[1]),
        "/proc/",
        "/sys/",
        "/dev/null",
    )

    def hook(event: str, args: Any) -> None:
        if event == "open" and isinstance(args[0], str | bytes):
            place = os.path.realpath(os.fsdecode(args[0]))
            if not place.startswith(homes):
                touched.append(f"{event} {place}")
        elif event.startswith(
            (
                "os.system",
                "os.exec",
                "os.posix_spawn",
                "subprocess",
                "pickle",
                "socket",
                "ctypes.dlopen",
                "os.remove",
                "os.rename",
                "shutil",
            )
        ):
            touched.append(f"{event} {str(args)[:80]}")

    sys.addaudithook(hook)
    before = resident()
    try:
        what()
        kind, said = "loaded", ""
    except Problem as problem:
        kind, said = type(problem).__name__, str(problem)
    except BaseException as problem:
        kind, said = f"!{type(problem).__name__}", str(problem)[:500]
    return [kind, said[:2000], resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before, touched[:5]]


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


# ---- folders ----------------------------------------------------------------------------------------------------
def change(folder: Path, edit: Callable[[dict], Any]) -> None:
    card = json.loads((folder / "card.json").read_text())
    found = edit(card)
    (folder / "card.json").write_text(json.dumps(card if found is None else found))
    fuzz.sign(folder)


def put(*path: Any, value: Any) -> Callable[[Path], None]:
    """A change of one place in the card."""

    def edit(card: dict) -> None:
        here: Any = card
        for key in path[:-1]:
            here = here[key]
        here[path[-1]] = value

    return lambda folder: change(folder, edit)


def drop(*path: Any) -> Callable[[Path], None]:
    def edit(card: dict) -> None:
        here: Any = card
        for key in path[:-1]:
            here = here[key]
        del here[path[-1]]

    return lambda folder: change(folder, edit)


def text(data: bytes) -> Callable[[Path], None]:
    """A card of these bytes."""

    def write(folder: Path) -> None:
        (folder / "card.json").write_bytes(data)
        fuzz.sign(folder)

    return write


def pickled(name: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / name).write_bytes(pickle.dumps(Payload(folder.parent / CANARY)))
        fuzz.sign(folder)

    return write


def torch_pickled(folder: Path) -> None:
    torch.save({"x": Payload(folder.parent / CANARY)}, folder / "weights.safetensors")
    fuzz.sign(folder)


def weights(edit: Callable[[dict[str, torch.Tensor]], Any]) -> Callable[[Path], None]:
    """Weights with some tensors changed."""

    def write(folder: Path) -> None:
        tensors = {name: tensor.clone() for name, tensor in load_file(folder / "weights.safetensors").items()}
        edit(tensors)
        save_file(tensors, folder / "weights.safetensors")
        fuzz.sign(folder)

    return write


def head(edit: Callable[[dict], Any], length: int | None = None, tail: bytes | None = None) -> Callable[[Path], None]:
    """A safetensors file whose header says something else."""

    def write(folder: Path) -> None:
        data = (folder / "weights.safetensors").read_bytes()
        size = int.from_bytes(data[:8], "little")
        told = json.loads(data[8 : 8 + size])
        told = edit(told) or told
        line = told if isinstance(told, bytes) else json.dumps(told).encode()
        rest = data[8 + size :] if tail is None else tail
        (folder / "weights.safetensors").write_bytes(
            (len(line) if length is None else length).to_bytes(8, "little") + line + rest
        )
        fuzz.sign(folder)

    return write


def first(told: dict) -> dict:
    return next(one for name, one in told.items() if name != "__metadata__")


def shift(by: int, which: int) -> Callable[[dict], None]:
    def edit(told: dict) -> None:
        first(told)["data_offsets"][which] += by

    return edit


def manifest(line: str) -> Callable[[Path], None]:
    """One more line in the manifest."""

    def write(folder: Path) -> None:
        with open(folder / fuzz.MANIFEST, "a", newline="") as file:
            file.write(line)

    return write


def replaced(name: str, make: Callable[[Path], Any]) -> Callable[[Path], None]:
    """Another kind of thing in the place of a file."""

    def write(folder: Path) -> None:
        (folder / name).unlink()
        make(folder / name)

    return write


def linked(name: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        outside = folder.parent / f"outside-{name}"
        (folder / name).rename(outside)
        (folder / name).symlink_to(outside)

    return write


def bound_socket(path: Path) -> None:
    here = os.getcwd()
    os.chdir(path.parent)  # the name of a socket is short
    try:
        socket.socket(socket.AF_UNIX).bind(path.name)
    finally:
        os.chdir(here)


def sparse(name: str, size: int) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        with open(folder / name, "wb") as file:
            file.truncate(size)

    return write


def swapped(folder: Path) -> None:
    shutil.copy(folder.parent / "other.pf" / "weights.safetensors", folder / "weights.safetensors")


def nested(depth: int) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        card = (folder / "card.json").read_text()
        model = json.loads(card)
        model["fields"] = {}
        inner = json.dumps(model)[:-1].replace('"fields": {}', '"fields": {"shrink": %s}')
        before, after = inner.split("%s")
        (folder / "card.json").write_text(before * depth + '"none"' + (after + "}") * depth)
        fuzz.sign(folder)

    return write


def fullwidth(folder: Path) -> None:
    (folder / "card.json").rename(folder / "ｃard.json")
    fuzz.sign(folder)


def composed(folder: Path) -> None:
    (folder / "cafe\u0301.json").write_text("{}")
    fuzz.sign(folder)


def all_at(place: Callable[[list[int]], list[int]]) -> Callable[[dict], None]:
    """All tensors of a header at other offsets."""

    def edit(told: dict) -> None:
        begin = first(told)["data_offsets"]
        for one in told.values():
            one["data_offsets"] = place(one["data_offsets"]) or begin

    return edit


def both(told: dict) -> bytes:
    return json.dumps(told)[:-1].encode() + b"," + json.dumps(told)[1:].encode()


def card(edit: Callable[[dict], Any]) -> Callable[[Path], None]:
    return lambda folder: change(folder, lambda told: edit(told) and None)


def half_signed(folder: Path) -> None:
    lines = (folder / fuzz.MANIFEST).read_text().splitlines()
    (folder / fuzz.MANIFEST).write_text(lines[-1] + "\n")


def added(name: str, more: bytes) -> Callable[[Path], None]:
    """Bytes behind a file that the manifest does not know of."""
    return lambda folder: (
        (folder / name).write_bytes((folder / name).read_bytes()[: -1 if name.startswith("w") else None] + more)
        and None
    )


MOON = {"class": "VAE", "module": "pushforward", "fields": {"hidden": [10**9]}}
BYTES = {"levels": 10**12, "form": "bytes", "alphabet": []}
