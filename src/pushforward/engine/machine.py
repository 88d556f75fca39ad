"""Where a model learns: one device, several processes with averaged gradients (ddp), or sharded weights (fsdp).

    average of the gradients of the parts = gradient of the mean over the whole batch,

so W processes with batch/W examples each take the same steps as one process with all of them, up to rounding.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext

import torch
import torch.distributed as dist
from torch import Tensor, nn

from ..errors import Usage, did_you_mean

BUCKET = 1 << 25  # bytes of gradients that travel together


def device_of(name: str = "auto") -> torch.device:
    """The device of a name: `auto` takes CUDA, then MPS, then the CPU.

    >>> device_of("cpu")
    device(type='cpu')
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
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
    return device


class Machine:
    """One process of a run. Under torchrun it joins the others; `shards` spreads the weights over them."""

    def __init__(self, device: str = "auto", precision: str = "auto", shards: bool = False):
        self.device = device_of(device)
        self.world = int(os.environ.get("WORLD_SIZE", 1))
        self.rank = int(os.environ.get("RANK", 0))
        self.shards = shards and self.world > 1
        if precision == "auto":
            precision = "bfloat16" if self.device.type == "cuda" and torch.cuda.is_bf16_supported() else "float32"
        self.dtype = torch.float64 if precision == "float64" else torch.float32
        self.low = precision == "bfloat16"
        if self.world > 1 and not dist.is_initialized():
            dist.init_process_group("nccl" if self.device.type == "cuda" else "gloo")
        if self.device.type == "cuda":
            torch.cuda.set_device(self.device)

    def place(self, module: nn.Module) -> None:
        """Put the weights where they belong, alike on every process."""
        module.to(self.device)
        if self.world > 1:
            for tensor in [*module.parameters(), *module.buffers()]:
                dist.broadcast(tensor.data, 0)
        if self.shards:
            from torch.distributed.device_mesh import init_device_mesh
            from torch.distributed.fsdp import fully_shard

            mesh = init_device_mesh(self.device.type, (self.world,))
            for child in module.children():
                # Lists are not called, so their items are what is gathered and freed.
                for part in child if isinstance(child, nn.ModuleList) else [child]:
                    if any(True for _ in part.parameters()):
                        fully_shard(part, mesh=mesh)

    def whole(self, module: nn.Module) -> dict[str, Tensor]:
        """The full weights of a module whose weights may be spread."""
        return {name: full(t).detach() for name, t in module.state_dict().items()}

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

    def agree(self, value: float) -> float:
        """The mean of a number over the processes, so that all take the same decision."""
        if self.world == 1:
            return value
        t = torch.tensor([value], dtype=torch.float64, device=self.device if self.device.type != "mps" else "cpu")
        dist.all_reduce(t)
        return float(t) / self.world

    def meet(self) -> None:
        if self.world > 1:
            dist.barrier()


def full(tensor: Tensor) -> Tensor:
    """The whole of a tensor that may be spread over processes."""
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor


def like(value: Tensor, model: Tensor) -> Tensor:
    """A whole tensor laid out as another, which may be spread over processes."""
    if hasattr(model, "to_local"):
        from torch.distributed.tensor import distribute_tensor

        return distribute_tensor(value.to(model.device), model.device_mesh, model.placements)  # type: ignore[attr-defined]
    return value.to(model.device)
