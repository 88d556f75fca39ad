"""The command line: `pushforward VERB …`. A thin face of the workbench: it parses words, prints, and turns problems into exit codes.

    0 done   1 anything else   2 usage   3 bad file or data   4 diverged   130 interrupted (the model is saved)   143 terminated (SIGTERM, SIGUSR1, SIGHUP)
    141 whoever read the output has gone, as `head` does when it has enough

Nothing heavy is imported before a verb runs, so that --help, --version and completion answer at once.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Sequence
from typing import NoReturn

from .speech import complain, sentence, warned
from .verbs import app

ALL = "WORLD_SIZE"  # how many processes torchrun has started
SHARED = ("fit", "sample", "score")  # what they do together
GONE = 141  # what a shell gives a program that writes into a pipe which nobody reads


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and leave with its exit code."""
    code = run(list(sys.argv[1:] if arguments is None else arguments))
    try:
        print(end="", flush=True)
    except OSError:  # told already; what is left can go nowhere, and Python would try it once more at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if ALL in os.environ and sys.stderr is not None:
        sys.stderr.flush()
        # Threads that move tensors between processes abort a Python that is taken apart (github.com/pytorch/pytorch/pull/179291).
        os._exit(code)
    sys.exit(code)


def run(arguments: list[str]) -> int:
    """The exit code of a command line."""
    if int(os.environ.get(ALL, 1)) > 1 and arguments and arguments[0] not in SHARED:
        if int(os.environ.get("RANK", 0)):
            return 0
        os.environ[ALL] = "1"  # the first process does alone what is not shared out
    with warnings.catch_warnings():
        warnings.showwarning = warned  # type: ignore[assignment]
        return spoken(arguments)


def spoken(arguments: list[str]) -> int:
    try:
        code = app(args=arguments, standalone_mode=False, prog_name="pushforward")
        print(end="", flush=True)  # a full disk is told here, not after the last word
        return code if isinstance(code, int) else 0
    except BrokenPipeError:
        return GONE
    except SystemExit as leaving:
        if isinstance(leaving.__context__, BrokenPipeError):  # typer heard of it first
            return GONE
        if leaving.code == 143:
            complain(
                "Terminated. The run can go on from its last checkpoint with --resume.",
                143,
                as_json="--json" in arguments,
            )
        return leaving.code if isinstance(leaving.code, int) else 1
    except (Exception, KeyboardInterrupt) as problem:
        told = sentence(problem)
        if told is None:
            raise  # a fault of ours: the traceback is what a report needs
        complain(*told, as_json="--json" in arguments)
        return told[1]


__all__ = ["app", "main", "run"]
