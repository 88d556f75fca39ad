"""Runs of several processes: what torchrun starts, how it is started, many played by threads of one, and two hosts on one machine.

As a program (`torchrun hosts.py FOLDER NAME …`) it trains each system of `SYSTEMS` with averaged gradients and with spread weights, and leaves
`FOLDER/NAME-ddp.safetensors` and `FOLDER/NAME-fsdp.safetensors`.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

HERE = Path(__file__).resolve()
HOW: dict[str, Any] = {
    "steps": 12,
    "batch": 32,
    "seed": 4,
    "precision": "float64",
    "quiet": True,
    "every": 5,
    "valid": 0.2,
}
# name -> (class, fields, changes of the recipe, which data)
SYSTEMS: dict[str, tuple[str, dict[str, Any], dict[str, Any], str]] = {
    "MADE": ("MADE", {"hidden": (16, 16), "components": 3}, {"clip": 0.5}, "real"),
    "GPT": ("GPT", {"layers": 2, "heads": 2, "width": 16}, {}, "tokens"),
    "VAE": ("VAE", {"latent": 2, "hidden": (16,)}, {"optimizer": "rmsprop"}, "real"),
    "RealNVP": ("RealNVP", {}, {"ema": 0.9}, "real"),
    "MAF": ("MAF", {"transforms": 2, "hidden": (16,)}, {}, "real"),
    "GAN": ("GAN", {"hidden": (16, 16), "latent": 4}, {"valid": 0.0}, "real"),
    "WGAN": (
        "GAN",
        {"hidden": (16, 16), "latent": 4, "objective": "wasserstein", "penalty": "one-sided"},
        {"valid": 0.0},
        "real",
    ),
    "RBM": ("RBM", {"hidden": 6, "chains": 32, "burn": 20}, {"valid": 0.0}, "binary"),
    "GaussianMixture": ("GaussianMixture", {"components": 3}, {}, "real"),
}


def data(kind: str) -> Any:
    rng = np.random.default_rng(0)
    if kind == "tokens":
        return ["".join(rng.choice(list("abcd"), 8)) for _ in range(200)]
    x = rng.normal(size=(200, 4)) @ rng.normal(size=(4, 4)) + 1.0
    return x if kind == "real" else x > 1.0


def fit(name: str, **how: Any) -> Any:
    import pushforward as pf

    kind, fields, changes, what = SYSTEMS[name]
    return getattr(pf, kind)(**fields).fit(data(what), **{**HOW, **changes, **how})


def weights(model: Any) -> dict[str, Any]:
    return {name: t.detach().clone().contiguous() for name, t in model.state_dict().items()}


def main(folder: str, names: Sequence[str]) -> None:
    import torch
    from safetensors.torch import save_file

    torch.set_num_threads(1)
    for name in names:
        for shards in (False, True):
            model = fit(name, shards=shards)
            if int(os.environ["RANK"]) == 0:
                save_file(weights(model), Path(folder) / f"{name}-{'fsdp' if shards else 'ddp'}.safetensors")
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


# ---- starting ---------------------------------------------------------------------------------------------------------
def environment(**more: str) -> dict[str, str]:
    """One thread a process, over the loopback, with the package of this checkout."""
    path = os.pathsep.join([str(HERE.parents[2] / "src"), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path, **more}


def command(*words: str, processes: int = 2) -> list[str]:
    """torchrun of a program, or of `-m module`, with its words."""
    return [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes), *words]


def together(*words: str, processes: int = 2, timeout: float = 240.0, **more: Any) -> subprocess.CompletedProcess:
    return subprocess.run(
        command(*words, processes=processes), env=environment(), capture_output=True, text=True, timeout=timeout, **more
    )


def pair(program: str, timeout: float = 240.0) -> subprocess.CompletedProcess:
    """Two processes of a program, told what torchrun would tell them: quicker to start."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        meet = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1]), "WORLD_SIZE": "2"}
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    runs = [
        subprocess.Popen([sys.executable, program], env=environment(RANK=str(rank), **meet), **pipes) for rank in (0, 1)
    ]
    try:
        said = [run.communicate(timeout=timeout) for run in runs]
    finally:
        for run in runs:
            run.kill()
    codes = [run.returncode for run in runs]
    out, err = ("\n".join(texts) for texts in zip(*said, strict=True))
    return subprocess.CompletedProcess(program, next((code for code in codes if code), 0), out, err)


def workers(torchrun: int) -> list[int]:
    """The processes that a torchrun has started, by rank."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if int((entry / "stat").read_text().rpartition(")")[2].split()[1]) == torchrun:
                said = dict(line.partition("=")[::2] for line in (entry / "environ").read_text().split("\0"))
                found.append((int(said.get("RANK", -1)), int(entry.name)))
        except (OSError, ValueError):
            continue  # it ended meanwhile
    return [pid for rank, pid in sorted(found) if rank >= 0]


# ---- more than two -----------------------------------------------------------------------------------------------------
def crowd(world: int, work: Callable[[], Any]) -> dict[int, Any]:
    """What `work` gives on each of many processes, which are threads here, over the process group that torch tests itself with."""
    import torch
    import torch.distributed as dist
    from torch.testing._internal.distributed import multi_threaded_pg as threaded

    from pushforward.model import Model

    here, found, lock, make = threading.local(), {}, threading.Lock(), Model.make

    def one(rank: int, store: Any) -> None:
        here.ranks = rank, world
        dist.init_process_group("threaded", rank=rank, world_size=world, store=store)
        try:
            found[rank] = work()
        except BaseException as problem:  # the others are not to wait for it
            found[rank] = f"{type(problem).__name__}: {problem}"
            threaded.ProcessLocalGroup.exception_handle(problem)
        finally:
            dist.destroy_process_group()

    def made(self: Any, *how: Any) -> None:
        with lock:  # first weights come from a generator that threads share
            make(self, *how)

    torch._C._distributed_c10d._set_thread_isolation_mode(True)
    threaded._install_threaded_pg()
    try:
        with (
            mock.patch("pushforward.engine.machine.ranks", lambda: here.ranks),
            mock.patch("pushforward.data.stores.ranks", lambda: here.ranks),
            mock.patch.object(Model, "make", made),
        ):
            store = dist.HashStore()
            threads = [threading.Thread(target=one, args=(rank, store)) for rank in range(world)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
    finally:
        threaded._uninstall_threaded_pg()
        threaded.ProcessLocalGroup.reset()
        torch._C._distributed_c10d._set_thread_isolation_mode(False)
    return found


# ---- two hosts --------------------------------------------------------------------------------------------------------
def why_no_hosts() -> str:
    """Why this machine cannot play two hosts; nothing where it can."""
    if sys.platform != "linux" or shutil.which("ip") is None:
        return "two hosts on one machine need Linux and the tool ip"
    name = f"pf{uuid.uuid4().hex[:8]}"
    tried = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True)
    if tried.returncode:
        return f"network namespaces need rights that this process lacks ({tried.stderr.strip()[:80]})"
    entered = subprocess.run(["ip", "netns", "exec", name, "true"], capture_output=True, text=True)
    subprocess.run(["ip", "netns", "del", name], capture_output=True)
    return f"a network namespace cannot be entered ({entered.stderr.strip()[:80]})" if entered.returncode else ""


@contextmanager
def two_hosts() -> Iterator[list[tuple[list[str], str, str]]]:
    """(words to put before a command, its address, its network card) of two network namespaces that are joined by one wire."""
    tag = uuid.uuid4().hex[:6]
    spaces, cards = [f"pf{tag}{side}" for side in "ab"], [f"v{tag}{side}" for side in "ab"]
    addresses = ["10.213.7.1", "10.213.7.2"]

    def ip(*words: str) -> None:
        subprocess.run(["ip", *words], check=True, capture_output=True)

    try:
        for space in spaces:
            ip("netns", "add", space)
        ip("link", "add", cards[0], "type", "veth", "peer", "name", cards[1])
        for space, card, address in zip(spaces, cards, addresses, strict=True):
            ip("link", "set", card, "netns", space)
            ip("-n", space, "addr", "add", f"{address}/24", "dev", card)
            ip("-n", space, "link", "set", card, "up")
            ip("-n", space, "link", "set", "lo", "up")
        yield [
            (["ip", "netns", "exec", space], address, card)
            for space, address, card in zip(spaces, addresses, cards, strict=True)
        ]
    finally:
        for space in spaces:
            subprocess.run(["ip", "netns", "del", space], capture_output=True)


def across(hosts: list[tuple[list[str], str, str]], *words: str, timeout: float = 90.0) -> list[tuple[int, str]]:
    """One torchrun a host, with one process each, which meet at the first host's address; what became of each."""
    about = ["--nnodes", "2", "--nproc_per_node", "1", "--rdzv_backend", "c10d", "--rdzv_id", "pf"]
    runs = []
    for i, (before, address, card) in enumerate(hosts):
        # In a namespace no name resolves, so who is the meeting point is said.
        meet = [
            "--rdzv_endpoint",
            f"{hosts[0][1]}:29512",
            "--rdzv_conf",
            f"is_host={int(i == 0)}",
            "--local_addr",
            address,
        ]
        line = [*before, sys.executable, "-m", "torch.distributed.run", *about, *meet, *words]
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        runs.append(
            subprocess.Popen(
                line, env=environment(GLOO_SOCKET_IFNAME=card, RES_OPTIONS="timeout:1 attempts:1"), **pipes
            )
        )
    try:
        said = [run.communicate(timeout=timeout)[0] for run in runs]
        return [(run.returncode, text) for run, text in zip(runs, said, strict=True)]
    finally:
        for run in runs:
            run.kill()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
