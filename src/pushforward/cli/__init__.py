"""The command line: `pushforward VERB …`. A thin face of the workbench: it parses words, prints, and turns problems into exit codes.

    0 done   1 anything else   2 usage   3 bad file or data   4 diverged   130 interrupted (the model is saved)   143 terminated (SIGTERM, SIGUSR1)

Nothing heavy is imported before a verb runs, so that --help, --version and completion answer at once.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NoReturn

from .speech import complain, sentence
from .verbs import app


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and leave with its exit code."""
    sys.exit(run(list(sys.argv[1:] if arguments is None else arguments)))


def run(arguments: list[str]) -> int:
    try:
        code = app(args=arguments, standalone_mode=False, prog_name="pushforward")
        return code if isinstance(code, int) else 0
    except SystemExit as leaving:
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
