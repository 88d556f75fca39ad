"""One process and two: the same batch shared out (strong scaling), and a batch for each (weak scaling), one thread a process.

Every arm starts torchrun on a program that fits a GPT and tells the seconds of a step, from the sixth on. On two cores two processes can take half
the time of one on the same batch, less what they say to one another: 4 bytes a parameter a step, there and back, through gloo over the loopback.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from measure import OURS, Arm, Row, Setting, agree

PROGRAM = """
import json, os, sys, time
import numpy as np, torch
torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
import pushforward as pf
batch, shards, skip, steps, width = json.loads(sys.argv[1])
rng = np.random.default_rng(0)
texts = ["".join(rng.choice(list("abcdefgh"), 64)) for _ in range(256)]
at = []
def look(moment):
    if moment.event == "step":
        at.append(time.perf_counter())
model = pf.GPT(layers=4, heads=4, width=width)
model.fit(texts, steps=skip + steps, batch=batch, shards=shards, seed=0, valid=0.0, every=10**6, patience=0, quiet=True, callbacks=[look])
if int(os.environ.get("RANK", 0)) == 0:
    seconds = (at[-1] - at[skip - 1]) / steps
    print("TOLD", json.dumps([seconds, model.size(), float(sum(p.double().sum() for p in model.parameters()))]))
if torch.distributed.is_initialized():
    torch.distributed.destroy_process_group()
"""


def run(processes: int, batch: int, shards: bool, quick: bool, width: int = 192, threads: int = 1) -> list[float]:
    """[seconds of a step, parameters, the sum of the weights]."""
    with tempfile.TemporaryDirectory() as folder:
        (program := Path(folder) / "program.py").write_text(PROGRAM)
        told = json.dumps([batch, shards, 2 if quick else 5, 2 if quick else 15, width])
        start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
        words = [sys.executable] if processes == 1 else start
        done = subprocess.run(
            [*words, str(program), told],
            env={**os.environ, "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)},
            capture_output=True,
            text=True,
        )
    lines = [line for line in done.stdout.splitlines() if line.startswith("TOLD")]
    agree(f"a run of {processes} came to nothing: {done.stderr[-300:]}", len(lines) == 1)
    return json.loads(lines[0].partition(" ")[2])


def rows(setting: Setting):
    quick = setting.quick
    for kind, one, two in (("strong, 32 examples a step", 32, 32), ("weak, 16 examples a process and step", 16, 32)):

        def check(one=one, two=two) -> str:
            alone, ddp, fsdp = (run(n, two, shards, True) for n, shards in ((1, False), (2, False), (2, True)))
            gap = max(abs(alone[2] - other[2]) for other in (ddp, fsdp))
            agree(f"the weights of two processes are {gap:.1e} from those of one", gap < 1e-2 * max(1.0, abs(alone[2])))
            return f"{alone[1]:,.0f} parameters; the sums of the weights after four steps agree to {gap:.0e}"

        arms = [
            Arm(OURS, lambda one=one: run(1, one, False, quick)[0], tells=True),
            Arm(
                "1 process, 2 threads", lambda one=one: run(1, one, False, quick, threads=2)[0], tells=True, rival=False
            ),
            Arm("2 processes, averaged", lambda two=two: run(2, two, False, quick)[0], tells=True, rival=False),
            Arm("2 processes, spread", lambda two=two: run(2, two, True, quick)[0], tells=True, rival=False),
        ]
        note = "one step of fit; ours: 1 process of 1 thread; efficiency is ours / (2 × theirs) in the strong row, ours / theirs in the weak"
        yield Row("scaling", f"GPT 4 × 192, context 64, {kind}", arms, None, check, note)
