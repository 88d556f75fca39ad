"""What the machine is, what is installed, and where the real images are."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
PEERS = (
    "zuko",
    "nflows",
    "normflows",
    "pythae",
    "transformers",
    "scikit-learn",
    "prdc",
    "torchmetrics",
    "pot",
    "ctgan",
)


def machine(threads: int) -> dict[str, Any]:
    """Facts without which a second means nothing."""
    import torch

    return {
        "cpu": processor(),
        "cores": os.cpu_count(),
        "threads": threads,
        "memory GiB": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "vectors": torch.backends.cpu.get_cpu_capability(),
        "load before": round(os.getloadavg()[0], 2),
        "peers": {name: found for name in PEERS if (found := installed(name))},
    }


def processor() -> str:
    """The name of the CPU."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.processor()
    )


def installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def checkout(name: str, *inside: str) -> Path | None:
    """A peer that is in no package index: a folder of its own in the folder that PEERS_SRC names."""
    source = os.environ.get("PEERS_SRC")
    path = Path(source, name, *inside) if source else None
    return path if path is not None and path.exists() else None


def bits(n: int) -> tuple[np.ndarray, str]:
    """n binarised images as (n, 784) booleans, and what they are: MNIST where it is found, else random bits of the same shape."""
    folder = Path(os.environ.get("PUSHFORWARD_DATA", ROOT.parent / "shared" / "data")) / "mnist"
    file = folder / "train-images-idx3-ubyte.gz"
    if not file.exists():
        rng = np.random.default_rng(0)
        chance = rng.beta(0.3, 1.0, 784)  # of each pixel: most are nearly always off
        return rng.random(
            (n, 784)
        ) < chance, "random bits of the shape of MNIST (set PUSHFORWARD_DATA for the real images)"
    import pushforward as pf

    images = pf.data.load(file).x[:n]
    return images.flatten(1).numpy() > 127, "MNIST, pixels above 127"
