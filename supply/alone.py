"""Run a command without the network, and count what tried to reach it.

    python supply/alone.py [--kernel] python -m pytest …

Two walls. The first is supply/blocked/sitecustomize.py, which every Python below reads: it raises at a look-up or a connection that leaves
this machine and writes it down. The second, with --kernel, is a network namespace that holds nothing but loopback (`unshare -n`): there
compiled code cannot leave either. Where the system does not allow one, a line says so and the first wall stands alone.

The exit code is the command's; 1 if it succeeded but something tried to leave.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

BLOCKED = Path(__file__).resolve().parent / "blocked"
WAYS = (["unshare", "-n"], ["unshare", "-r", "-n"])


def environment(log: Path) -> dict[str, str]:
    """The environment in which every Python is blocked and tells `log` of each attempt."""
    old = os.environ.get("PYTHONPATH")
    path = os.pathsep.join([str(BLOCKED), *([old] if old else [])])
    return os.environ | {"PYTHONPATH": path, "PUSHFORWARD_OFFLINE_LOG": str(log)}


def namespace() -> list[str] | None:
    """The words that give a command a network of its own with loopback alone; None where the system allows none."""
    if shutil.which("unshare") is None:
        return None
    inside = [sys.executable, str(Path(__file__).resolve()), "--loopback"]
    for way in WAYS:
        tried = subprocess.run([*way, *inside, sys.executable, "-c", ""], capture_output=True)
        if tried.returncode == 0:
            return [*way, *inside]
    return None


def loopback(words: list[str]) -> None:
    """Become the command `words`, in a fresh namespace, once its loopback is up (it starts down)."""
    import fcntl
    import socket
    import struct

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        up_and_running, set_flags = 0x1 | 0x40, 0x8914
        fcntl.ioctl(handle, set_flags, struct.pack("16sH14x", b"lo", up_and_running))
    os.execvp(words[0], words)


def run(
    words: list[str], kernel: bool = False, timeout: float | None = None, **options: Any
) -> tuple[subprocess.CompletedProcess[Any], list[str]]:
    """The finished command, and the attempts to reach the network, one line each. Options go to subprocess.run; after `timeout` all of it ends."""
    prefix = (namespace() or []) if kernel else []
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "attempts"
        if timeout is not None:  # a session of its own: what the command started ends with it
            options["start_new_session"] = True
        if options.pop("capture_output", False):
            options |= {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        with subprocess.Popen([*prefix, *words], env=environment(log), **options) as process:
            try:
                out, err = process.communicate(timeout=timeout)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
                raise
        done = subprocess.CompletedProcess(words, process.returncode, out, err)
        return done, log.read_text().splitlines() if log.exists() else []


def main() -> int:
    words = sys.argv[1:]
    if words[:1] == ["--loopback"]:
        loopback(words[1:])
    kernel = words[:1] == ["--kernel"]
    words = words[kernel:]
    if not words:
        sys.exit(str(__doc__))
    if kernel and namespace() is None:
        print("no network namespace can be made here: Python alone is blocked", file=sys.stderr)
    done, attempts = run(words, kernel)
    print(f"{len(attempts)} attempts to reach the network", *sorted(set(attempts)), sep="\n  ", file=sys.stderr)
    return done.returncode or (1 if attempts else 0)


if __name__ == "__main__":
    sys.exit(main())
