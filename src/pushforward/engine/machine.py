"""Where a model learns: one device, several processes with averaged gradients (ddp), or sharded weights (fsdp).

    average of the gradients of the parts = gradient of the mean over the whole batch,

so W processes with batch/W examples each take the same steps as one process with all of them, up to rounding.

What the processes say to one another travels over gloo on CPUs and nccl on GPUs. A process that is gone closes its connections, which the
others hear at once; one that is merely silent is waited for `PATIENCE` seconds.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from ..errors import Problem, Usage, did_you_mean

BUCKET = 1 << 25  # bytes of gradients that travel together
PATIENCE = 300.0  # seconds that a process waits for a word of the others
DAY = 86400.0  # and for one that reads or writes a disk for all; one that is gone is heard of at once
LINGER = 0.1  # seconds at the end of a run in which the threads of gloo come to rest
AGAIN = "The last checkpoint stands: start again with --resume, with as many processes as there are."


class Lost(Problem):
    """Another process of the run is gone, or has not been heard of for too long."""


def ranks() -> tuple[int, int]:
    """(which process this is, of how many), as torchrun tells it."""
    return int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))


def device_of(name: str = "auto") -> torch.device:
    """The device of a name: `auto` takes CUDA, then MPS, then the CPU. Under torchrun each process has a CUDA device of its own.

    >>> device_of("cpu")
    device(type='cpu')
    """
    if name == "auto":
        mps = torch.backends.mps.is_available() and ranks()[1] == 1  # over which processes cannot talk
        name = "cuda" if torch.cuda.is_available() else "mps" if mps else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise Usage(
            f"device={name!r} is not a device. Write auto, cpu, cuda, cuda:1 or mps.{did_you_mean(name, ('auto', 'cpu', 'cuda', 'mps'))}"
        ) from None
    ready = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}.get(
        device.type, False
    )
    if not ready:
        raise Usage(f"device={name!r}: this torch sees no {device.type} device. Use device='auto' or 'cpu'.")
    return own_cuda(name, device) if device.type == "cuda" else device


def own_cuda(name: str, device: torch.device) -> torch.device:
    """The CUDA device of this process: of those that torchrun starts on a host each takes its own."""
    here, count = int(os.environ.get("LOCAL_WORLD_SIZE", 1)), torch.cuda.device_count()
    index = int(os.environ.get("LOCAL_RANK", 0)) if device.index is None else device.index
    if device.index is not None and here > 1:
        raise Usage(
            f"device={name!r}: the {here} processes of this host would share it. Say device='cuda', and each takes its own."
        )
    if device.index is None and max(here, index + 1) > count:
        raise Usage(
            f"This host runs {max(here, index + 1)} processes and torch sees {count} CUDA device(s) here. Start one process a device "
            "(--nproc_per_node), or say device='cpu'."
        )
    if index >= count:
        raise Usage(f"device={name!r}: there are {count} CUDA devices here, counted from 0.")
    return torch.device("cuda", index)


class Machine:
    """One process of a run. Under torchrun it joins the others; `shards` spreads the weights over them."""

    def __init__(self, device: str = "auto", precision: str = "auto", shards: bool = False, patience: float = PATIENCE):
        self.device, self.asked = device_of(device), device
        self.rank, self.world = ranks()
        self.shards = shards and self.world > 1
        if precision == "auto":
            precision = "bfloat16" if self.device.type == "cuda" and torch.cuda.is_bf16_supported() else "float32"
        self.dtype = torch.float64 if precision == "float64" else torch.float32
        self.low = precision == "bfloat16"
        if self.device.type == "cuda":
            torch.cuda.set_device(self.device)
        if self.world > 1 and not dist.is_initialized():
            # Words between processes (plans of checkpoints, their state) are on the CPU also where gradients are not.
            ways = "cpu:gloo,cuda:nccl" if self.device.type == "cuda" else "gloo"
            with self.heard():
                dist.init_process_group(ways, timeout=timedelta(seconds=patience))

    def place(self, module: nn.Module) -> None:
        """Put the weights where they belong, alike on every process."""
        if not self.shards:
            module.to(self.device)
        if self.world > 1:
            self.same(weights=[[name, list(t.shape), str(t.dtype)] for name, t in module.state_dict().items()])
            for tensor in [*module.parameters(), *module.buffers()]:
                dist.broadcast(tensor.data, 0)
        if self.shards:
            from torch.distributed.device_mesh import init_device_mesh
            from torch.distributed.fsdp import fully_shard

            mesh = init_device_mesh(self.device.type, (self.world,))
            # Players go several times through each other's networks and keep what they saw: a player's weights stay gathered until it steps.
            game = bool(getattr(module, "players", ()))
            for part in units(module):
                # Each part goes to the device when it is cut up, so that no device need hold the whole.
                fully_shard(part, mesh=mesh, reshard_after_forward=not game).set_reshard_after_backward(not game)
            module.to(self.device)

    def stepped(self, player: nn.Module) -> None:
        """A player of a game has taken a step: what was gathered of it is of the step before."""
        if self.shards:
            from torch.distributed.fsdp import FSDPModule

            for part in player.modules():
                if isinstance(part, FSDPModule):
                    part.reshard()

    def whole(self, module: nn.Module) -> dict[str, Tensor]:
        """The full weights of a module whose weights may be spread: in main memory, gathered one tensor after another."""
        return {name: full(t).detach().cpu() for name, t in module.state_dict().items()}

    @torch.no_grad()
    def gather(self, module: nn.Module, make: Callable[[], Any]) -> None:
        """A module of spread weights becomes an ordinary one: `make` makes it anew, and it is filled one tensor after another.

        A process then holds, beside the module, its own part and one whole tensor.
        """
        spread = module.state_dict()
        learned = [name for name, _ in module.named_parameters()]
        make()
        own = dict(module.named_parameters())
        for name in learned:
            own[name].copy_(full(spread.pop(name)))
        # Buffers the usual way: a masked network makes its masks of the order that comes with them.
        module.load_state_dict({name: full(t) for name, t in spread.items()}, strict=False)

    def context(self) -> AbstractContextManager:
        return torch.autocast(self.device.type, dtype=torch.bfloat16) if self.low else nullcontext()

    def average(self, parameters: Iterable[nn.Parameter]) -> None:
        """Average gradients over the processes; sharded ones are averaged already."""
        if self.world == 1:
            return
        grads = [p.grad for p in parameters if p.grad is not None and not hasattr(p.grad, "to_local")]
        while grads:
            bucket: list[Tensor] = []
            bytes_ = 0
            while grads and (not bucket or bytes_ < BUCKET):
                bucket.append(grads.pop(0))
                bytes_ += bucket[-1].numel() * bucket[-1].element_size()
            flat = torch.cat([g.flatten() for g in bucket])
            dist.all_reduce(flat)
            for g, part in zip(bucket, flat.div_(self.world).split([g.numel() for g in bucket]), strict=True):
                g.copy_(part.view_as(g))

    def clip(self, parameters: Iterable[nn.Parameter], most: float) -> None:
        """Scale gradients down to a norm of at most `most`, over all processes where they are spread."""
        parameters = list(parameters)
        if not self.shards:
            nn.utils.clip_grad_norm_(parameters, most, foreach=True)
            return
        grads = [p.grad for p in parameters if p.grad is not None]
        spread, whole = (
            sum((local(g).double().square().sum() for g in grads if hasattr(g, "to_local") is kind), torch.zeros(()))
            for kind in (True, False)
        )
        dist.all_reduce(spread := spread.to(self.device, torch.float64))
        scale = (most / ((spread + whole).sqrt() + 1e-6)).clamp(max=1.0)
        for g in grads:
            local(g).mul_(scale.to(g.dtype))

    # ---- words between the processes -----------------------------------------------------------------------------
    def agree(self, value: float) -> float:
        """The mean of a number over the processes, so that all take the same decision."""
        if self.world == 1:
            return value
        t = torch.tensor([value], dtype=torch.float64)
        dist.all_reduce(t)
        return float(t) / self.world

    def most(self, *values: float) -> list[float]:
        """The largest of each number over the processes."""
        t = torch.tensor(values, dtype=torch.float64)
        if self.world > 1:
            dist.all_reduce(t, dist.ReduceOp.MAX)
        return t.tolist()

    def sums(self, *values: float) -> list[float]:
        """The sum of each number over the processes."""
        t = torch.tensor(values, dtype=torch.float64)
        if self.world > 1:
            dist.all_reduce(t)
        return t.tolist()

    def tell(self, what: Any) -> Any:
        """What the first process says, if it can be said in JSON."""
        if self.world == 1:
            return what
        body = torch.frombuffer(bytearray(json.dumps(what).encode()), dtype=torch.uint8)
        size = torch.tensor([len(body)])
        dist.broadcast(size, 0)
        body = body if self.rank == 0 else torch.empty(int(size), dtype=torch.uint8)
        dist.broadcast(body, 0)
        return json.loads(bytes(body.numpy()))

    def send(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """The tensors of the first process, on all, one after another; the others may pass none."""
        if self.world == 1:
            return tensors
        about = self.tell([[name, list(t.shape), str(t.dtype).removeprefix("torch.")] for name, t in tensors.items()])
        out = {}
        for name, shape, kind in about:
            t = tensors[name].contiguous() if self.rank == 0 else torch.empty(shape, dtype=getattr(torch, kind))
            dist.broadcast(t, 0)
            out[name] = t
        return out

    @torch.no_grad()
    def merge(self, tensors: Sequence[Tensor], before: Sequence[Tensor]) -> None:
        """Bring together what each process changed for itself since `before` (chains, running moments), number by number: what one
        alone changed is its, what several changed is their mean. Afterwards `before` is as now."""
        if self.world == 1 or not tensors:
            return
        changed = self.most(*(float(not torch.equal(t, old)) for t, old in zip(tensors, before, strict=True)))
        for t, old, anybody in zip(tensors, before, changed, strict=True):
            if anybody:
                moved = t != old
                both = torch.stack([torch.where(moved, t, 0).double(), moved.double()])
                dist.all_reduce(both)
                t.copy_(torch.where(both[1] > 0, both[0] / both[1].clamp(min=1), old.double()))
                old.copy_(t)

    def same(self, **facts: Any) -> None:
        """All processes were given the same: where one has other facts than the first, all say so and end."""
        if self.world == 1:
            return
        own = {name: json.dumps(fact, default=str) for name, fact in facts.items()}
        first = self.tell(own)
        apart = [name for name in first if own.get(name) != first[name]]
        counts = dict(zip(first, self.sums(*(float(name in apart) for name in first)), strict=True))
        if not any(counts.values()):
            return
        what = "; ".join(f"{name} ({n:.0f} of {self.world} processes)" for name, n in counts.items() if n)
        here = "".join(f" Here {name} is … {part(own.get(name, ''), first[name])}." for name in apart)
        raise Usage(
            f"The processes of this run were not given the same; others than the first differ in {what}.{here} "
            "Give every host the same version, command and data."
        )

    def meet(self) -> None:
        """Wait for all, also for one that is at a disk meanwhile."""
        if self.world > 1:
            dist.barrier(timeout=timedelta(seconds=DAY))

    def end(self, last: Callable[[], Any] = lambda: None) -> None:
        """The last thing that the first process does for all; none leaves before it is done. Then gloo's threads let go of the last tensors: where
        they do that while Python ends, they abort it, and torchrun ends the others (github.com/pytorch/pytorch/pull/179291)."""
        if self.rank == 0:
            last()
        if self.world > 1:
            with self.heard():
                self.meet()
            time.sleep(LINGER)

    @contextmanager
    def heard(self, then: str = AGAIN) -> Iterator[None]:
        """Inside, a process that is gone or silent is told in a sentence; `then`: what to do."""
        try:
            yield
        except (RuntimeError, ValueError) as problem:
            if self.world == 1 or isinstance(problem, Problem) or not gone(problem):
                raise
            raise Lost(
                f"Process {self.rank} of {self.world} has lost another one of this run ({str(problem).splitlines()[0][:160]}). {then}"
            ) from problem


def part(own: str, first: str) -> str:
    """Two texts from a little before where they part."""
    start = max(0, len(os.path.commonprefix([own, first])) - 20)
    return f"{own[start : start + 60]!r} and there {first[start : start + 60]!r}"


def total(tensor: Tensor) -> Tensor:
    """The sum of a tensor over the processes of this run, in its place."""
    machine = Machine("cpu")
    if machine.world > 1:
        with machine.heard("Start again."):
            dist.all_reduce(tensor)
    return tensor


def gone(problem: BaseException) -> bool:
    """Whether a problem is that of a connection between processes."""
    kinds = (dist.DistBackendError, dist.DistNetworkError, dist.DistStoreError) if dist.is_available() else ()
    said = ("gloo", "Connection closed", "Connection reset", "Broken pipe", "Socket", "Timed out", "NCCL")
    return isinstance(problem, kinds) or any(word in str(problem) for word in said)


def units(module: nn.Module) -> Iterator[nn.Module]:
    """The parts that are gathered when they are called and freed after: each network of a model, and inside it first what says that it is
    one by itself (`unit`). What a model holds beside its networks stays whole on every process."""
    for child in module.children():
        # Lists are not called, so their items are what is gathered and freed.
        for part in child if isinstance(child, nn.ModuleList) else [child]:
            if any(True for _ in part.parameters()):
                yield from (inner for inner in part.modules() if inner is not part and getattr(inner, "unit", False))
                yield part


def local(tensor: Tensor) -> Tensor:
    """This process's part of a tensor that may be spread."""
    return tensor.to_local() if hasattr(tensor, "to_local") else tensor


def full(tensor: Tensor) -> Tensor:
    """The whole of a tensor that may be spread over processes."""
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor


def like(value: Tensor, model: Tensor) -> Tensor:
    """A whole tensor laid out as another, which may be spread over processes."""
    if hasattr(model, "to_local"):
        from torch.distributed.tensor import distribute_tensor

        return distribute_tensor(value.to(model.device), model.device_mesh, model.placements)  # type: ignore[attr-defined]
    return value.to(model.device)
