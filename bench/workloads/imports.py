"""What it takes to begin: seconds of a fresh process that imports a library, or prints the command line's help.

`import pushforward` alone reads nothing heavy: what a first model costs is a row of its own. Here `bare` is `import torch`.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator

from measure import BARE, OURS, Arm, Row, Setting, Target, agree, peer

LIBRARIES = {
    "zuko": "zuko",
    "nflows": "nflows.flows",
    "normflows": "normflows",
    "pythae": "pythae.models",
    "transformers": "transformers.models.gpt2.modeling_gpt2",
}


def run(*words: str) -> str:
    """A fresh Python in an empty folder; what it printed."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run([sys.executable, "-P", *words], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout


def process(*words: str) -> Callable[[], str]:
    return lambda: run(*words)


def over_torch(seconds: float) -> Target:
    return Target(f"import torch + {seconds:g} s", lambda m: m[OURS] <= m[BARE] + seconds)


def heavy(code: str) -> bool:
    """Whether torch has been imported after this code."""
    return run("-c", f"import sys\n{code}\nprint('torch' in sys.modules)").split()[-1] == "True"


def rows(setting: Setting) -> Iterator[Row]:
    first = "import pushforward; pushforward.MAF"

    def lazy() -> str:
        agree("import pushforward imports torch", not heavy("import pushforward"))
        return "it does not import torch"

    def whole() -> str:
        agree(f"{first} has not imported torch", heavy(first))
        return "it imports torch"

    def helped() -> str:
        agree("--help imports torch", not heavy("from pushforward.cli import run\nrun(['--help'])"))
        agree(
            "--help does not speak of its verbs",
            all(verb in run("-m", "pushforward", "--help") for verb in ("fit", "sample", "score")),
        )
        return "it does not import torch"

    torch_alone = Arm(BARE, process("-c", "import torch"))
    others = [
        Arm(name, process("-c", f"import {module}"))
        for name, module in LIBRARIES.items()
        if not setting.quick and peer(module.partition(".")[0])
    ]
    yield Row(
        "imports",
        "import pushforward",
        [Arm(OURS, process("-c", "import pushforward")), torch_alone, *others],
        over_torch(0.15),
        lazy,
        "bare is import torch; lazy, so the next row is the one to compare",
    )
    yield Row(
        "imports",
        "import pushforward and name a model",
        [Arm(OURS, process("-c", first)), torch_alone],
        over_torch(0.15),
        whole,
        "bare is import torch; the peers are in the row above",
    )
    yield Row(
        "imports",
        "python -m pushforward --help",
        [Arm(OURS, process("-m", "pushforward", "--help"))],
        Target("≤ 0.4 s", lambda m: m[OURS] <= 0.4),
        helped,
        "",
    )
