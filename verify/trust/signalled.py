"""Signals: `pushforward fit` in processes of its own, which hear Ctrl-C once or twice, SIGTERM or SIGUSR1 at a random instant, and are then resumed.

A process comes from a server that has imported everything and runs the command line as a shell would; its exit code is looked at, the folder, and
what `--resume` makes of it: the weights of a run that heard nothing, bit for bit.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rows import Row

HERE = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(HERE / "tests" / "engine"))

VAE = [
    "-m",
    "VAE",
    "-s",
    "latent=2",
    "-s",
    "hidden=16",
    "-s",
    "steps=160",
    "-s",
    "every=20",
    "-s",
    "keep=0",
    "-s",
    "patience=0",
    "-s",
    "ema=0.9",
]
SOLVED = ["-m", "GaussianMixture", "-s", "components=24"]
GOES_ON = "resumed, the weights are those of an undisturbed run, bit for bit; nothing is left beside the folder"


def command(words: Sequence[str], log: str) -> None:
    """The command line in a process of its own."""
    import torch

    from pushforward.cli import main

    torch.set_num_threads(1)
    screen = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(screen, stream)
    main(list(words))


def started(words: Sequence[str], out: Path) -> Any:
    from victims import CONTEXT

    process = CONTEXT.Process(
        target=command, args=(["fit", *words, "-o", str(out), "--seed", "3"], str(out.parent / "log"))
    )
    process.start()
    return process


def finished(words: Sequence[str], out: Path) -> int | None:
    process = started(words, out)
    process.join(120)
    return process.exitcode


def disturbed(words: Sequence[str], out: Path, numbers: Sequence[int], wait: float, apart: float) -> int | None:
    """The exit code of a process that hears signals some time after it has begun to write."""
    process = started(words, out)
    while process.is_alive() and not (out / "journal.jsonl").exists():
        time.sleep(0.002)
    (out.parent / "begun").touch()
    time.sleep(wait)
    for number in numbers:
        if process.is_alive():
            os.kill(process.pid, number)
        time.sleep(apart)
    process.join(120)
    return process.exitcode


def weights(out: Path) -> bytes:
    return (out / "weights.safetensors").read_bytes()


class Trial:
    """One kind of signal, many times."""

    def __init__(self, root: Path, data: Path, words: Sequence[str], chance: random.Random):
        self.root, self.words, self.chance = root, [str(data), *words], chance
        root.mkdir()
        began, code = time.monotonic(), disturbed(self.words, root / "whole.pf", [], 0.0, 0.0)
        assert code == 0, (root / "log").read_text()
        wrote = (root / "whole.pf" / "MANIFEST.sha256").stat().st_mtime - (root / "begun").stat().st_mtime
        self.span = min(wrote, time.monotonic() - began)
        self.whole, self.codes, self.lost = weights(root / "whole.pf"), {}, []

    def once(self, i: int, numbers: Sequence[int], codes: tuple[int, ...]) -> None:
        import pushforward as pf
        from pushforward.engine import files

        place = self.root / str(i)
        place.mkdir()
        out = place / "m.pf"
        code = disturbed(self.words, out, numbers, self.chance.uniform(0.0, self.span), self.chance.uniform(0.0, 0.03))
        self.codes[code] = self.codes.get(code, 0) + 1
        stands = (out / files.MANIFEST).exists()
        # After the last byte of the model nobody hears any more: the process ends as if it had been done, or as the system ends it.
        late = stands and (weights(out) == self.whole or len(numbers) > 1)
        assert code in codes or (late and code in (0, *(-n for n in numbers))), f"exit code {code}"
        if stands:
            pf.load(out)
        kept = stands or any((out / "checkpoints").glob("step-*"))
        assert kept or "solved" in self.root.name or len(numbers) > 1, "neither a model nor a checkpoint"
        left = [p.name for p in place.rglob(".*")]
        # What is stopped at once may leave the half of a checkpoint, as a kill does: the next start clears it.
        assert not left or len(numbers) > 1 or code in [-n for n in numbers], f"left {left}"
        assert finished([*self.words, "--resume"], out) == 0, (place / "log").read_text()[-300:]
        assert weights(out) == self.whole, "other weights"
        assert sorted(p.name for p in place.iterdir()) == ["begun", "log", "m.pf"], "something is left"
        shutil.rmtree(place)

    def row(self, fault: str, promise: str, tries: int, numbers: Sequence[int], codes: tuple[int, ...]) -> Row:
        began = time.monotonic()
        for i in range(tries):
            try:
                self.once(i, numbers, codes)
            except Exception as problem:
                self.lost.append(f"try {i}: {type(problem).__name__} {problem}")
        told = ", ".join(f"{code}: {count}" for code, count in sorted(self.codes.items(), key=str))
        note = "; ".join([f"exit codes {told}", *self.lost[:3]])
        return Row(
            fault, promise, tries, tries - len(self.lost), len(self.lost), round(time.monotonic() - began, 1), note
        )


def together(root: Path, data: Path, tries: int, chance: random.Random) -> Row:
    """torchrun with two processes, of which one hears SIGUSR1."""
    began, lost = time.monotonic(), []
    run = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc_per_node",
        "2",
        "-m",
        "pushforward",
        "fit",
        str(data),
        *VAE,
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(HERE / "src")}
    quiet: dict[str, Any] = {"env": environment, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    root.mkdir()
    subprocess.run([*run, "-o", str(root / "whole.pf"), "--seed", "3"], check=True, timeout=200, **quiet)
    for i in range(tries):
        out = root / f"{i}.pf"
        words = [*run, "-o", str(out), "--seed", "3"]
        process = subprocess.Popen(words, **quiet)
        while process.poll() is None and not any((out / "checkpoints").glob("step-*")):
            time.sleep(0.01)
        ranks = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        heard = int(chance.choice(ranks[-2:])) if len(ranks) >= 2 else None
        if heard:
            os.kill(heard, signal.SIGUSR1)
        code = process.wait(120)
        steps = [p.name for p in (out / "checkpoints").glob("step-*")]
        again = subprocess.run([*words, "--resume"], timeout=200, env=environment, capture_output=True, text=True)
        if again.returncode or not heard or not code or not steps or weights(out) != weights(root / "whole.pf"):
            lost.append(f"try {i}: exit codes {code} and {again.returncode}, {steps} {again.stderr[-300:]!r}")
    promise = "both stop at the same step with a checkpoint; " + GOES_ON
    return Row("SIGUSR1 to one of two processes under torchrun", promise, tries, tries - len(lost), len(lost),
               round(time.monotonic() - began, 1), "; ".join(lost))  # fmt: skip


def rows(much: float, out: Path, seed: int) -> Iterator[Row]:
    import numpy as np

    import pushforward as pf

    data, chance = out / "moons.npy", random.Random(seed)
    np.save(data, pf.data.toys.moons(2000, seed=0))
    for name, fault, promise, numbers, codes in (
        (
            "once",
            "Ctrl-C at a random instant of a fit",
            "exit code 130, a usable model, or all of it in a checkpoint; ",
            [signal.SIGINT],
            (130,),
        ),
        ("twice", "Ctrl-C twice", "exit code 130 at once; ", [signal.SIGINT, signal.SIGINT], (130,)),
        ("term", "SIGTERM", "exit code 143, a checkpoint; ", [signal.SIGTERM], (143,)),
        (
            "usr1",
            "SIGUSR1, as a cluster sends it before it takes a machine back",
            "exit code 143, a checkpoint; ",
            [signal.SIGUSR1],
            (143,),
        ),
        (
            "both",
            "Ctrl-C, and SIGTERM while the rest is kept",
            "exit code 130 or 143; ",
            [signal.SIGINT, signal.SIGTERM],
            (130, 143),
        ),
    ):
        yield Trial(out / name, data, VAE, chance).row(
            fault, promise + GOES_ON, max(1, round(16 * much)), numbers, codes
        )
    promise = "exit code 143, what stood there stands; " + GOES_ON
    yield Trial(out / "solved", data, SOLVED, chance).row(
        "SIGTERM in what is solved at once", promise, max(1, round(10 * much)), [signal.SIGTERM], (143,)
    )
    if much >= 0.5:
        yield together(out / "together", data, 2, chance)
