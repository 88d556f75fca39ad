"""What this machine has: versions, devices, memory, disk. No names of people or places."""

from __future__ import annotations

import os
import platform
import shutil
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

NEEDED = ("torch", "numpy", "scipy", "scikit-learn", "pandas", "safetensors", "typer", "rich", "pillow", "matplotlib")
EXTRA = {"pyarrow": "data", "tensorboard": "track"}


def doctor() -> dict[str, Any]:
    """Facts that a report of a fault needs.

    >>> doctor()["threads"] >= 1
    True
    """
    import torch

    found = {name: installed(name) for name in ("pushforward", *NEEDED, *EXTRA)}
    disk = shutil.disk_usage(Path.cwd())
    advice = [
        f"{name} is not installed: pip install 'pushforward[{EXTRA[name]}]'" for name in EXTRA if found[name] is None
    ]
    if disk.free < 1 << 30:
        advice.append("less than 1 GiB of disk is free here; checkpoints may not fit")
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "versions": found,
        "devices": devices(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "memory GiB": memory(),
        "free disk GiB": round(disk.free / 2**30, 1),
        "processes": int(os.environ.get("WORLD_SIZE", 1)),
        "between processes": between(),
        "advice": advice,
    }


def installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def devices() -> list[str]:
    import torch

    found = ["cpu"]
    if torch.cuda.is_available():
        found += [
            f"cuda:{i} ({torch.cuda.get_device_name(i)}, {torch.cuda.get_device_properties(i).total_memory >> 30} GiB)"
            for i in range(torch.cuda.device_count())
        ]
    if torch.backends.mps.is_available():
        found.append("mps")
    return found


def between() -> list[str]:
    """What the processes of torchrun can talk over."""
    import torch.distributed as dist

    if not dist.is_available():
        return []
    return [name for name, there in (("gloo", dist.is_gloo_available()), ("nccl", dist.is_nccl_available())) if there]


def memory() -> float | None:
    """Memory of the machine; None where the system does not tell."""
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (AttributeError, ValueError, OSError):
        return None
