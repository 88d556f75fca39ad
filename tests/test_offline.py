"""Nothing reaches the network: the wall holds, and the library never runs into it."""

import ast
import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# What could carry something out, or in. `torch.hub` and readers that take addresses are asked by what they do, below.
CARRIERS = {
    "aiohttp", "asyncio", "fsspec", "ftplib", "http", "httpx", "huggingface_hub", "imaplib", "poplib", "requests", "smtplib", "socket",
    "socketserver", "ssl", "telnetlib", "urllib", "urllib3", "webbrowser", "websockets", "xmlrpc",
}  # fmt: skip
LOCAL = {
    ("engine/locks.py", "socket"): {"gethostname"}
}  # a carrier of which a file takes what stays on this machine, and that alone

spec = importlib.util.spec_from_file_location("alone", ROOT / "supply" / "alone.py")
alone = importlib.util.module_from_spec(spec)
spec.loader.exec_module(alone)


def python(tmp_path, code, kernel=False, *options):
    """What a child without the network said, and its attempts."""
    file = tmp_path / "child.py"
    file.write_text(code)
    words = [sys.executable, *options, str(file)]
    return alone.run(words, kernel, capture_output=True, text=True, cwd=tmp_path, timeout=240)


TRIES = """
import multiprocessing, socket, subprocess, sys

def swallowed():
    for attempt in (
        lambda: socket.create_connection(("192.0.2.1", 80), 2),
        lambda: socket.socket().connect_ex(("192.0.2.1", 80)),
        lambda: socket.getaddrinfo("example.org", 443),
        lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("192.0.2.1", 9)),
    ):
        try:
            attempt()
            print("passed")
        except OSError as problem:
            print(type(problem).__name__)

if __name__ == "__main__":
    swallowed()
    if "child" not in sys.argv:
        subprocess.run([sys.executable, __file__, "child"])
        worker = multiprocessing.get_context("spawn").Process(target=swallowed)
        worker.start()
        worker.join()
"""


def test_an_attempt_raises_and_is_counted_also_in_children_and_where_the_error_is_swallowed(tmp_path):
    done, attempts = python(tmp_path, TRIES)
    assert done.returncode == 0 and done.stdout.split() == ["Offline"] * 12, done.stdout + done.stderr
    assert len(attempts) == 12
    assert sum("socket.connect 192.0.2.1" in line for line in attempts) == 3
    assert sum("example.org" in line for line in attempts) == 3


def test_what_stays_on_this_machine_passes(tmp_path):
    code = """
import socket
server = socket.create_server(("127.0.0.1", 0))
socket.create_connection(server.getsockname()).close()
socket.create_connection(("localhost", server.getsockname()[1])).close()
one, other = socket.socketpair(socket.AF_UNIX)
one.send(b"x")
path = socket.socket(socket.AF_UNIX)
path.bind("here")
path.listen()
socket.socket(socket.AF_UNIX).connect("here")
"""
    for kernel in (False, alone.namespace() is not None):
        done, attempts = python(tmp_path, code, kernel)
        assert (done.returncode, attempts) == (0, []), done.stderr
        (tmp_path / "here").unlink()


def test_the_second_wall_stops_what_the_first_does_not_see(tmp_path):
    if alone.namespace() is None:
        pytest.skip("no network namespace can be made here (unshare -n)")
    code = "import socket\nprint(socket.socket().connect_ex(('192.0.2.1', 80)))"
    done, attempts = python(tmp_path, code, True, "-I", "-S")
    import errno

    assert int(done.stdout) == errno.ENETUNREACH and attempts == []


def test_an_attempt_spoils_a_command_that_succeeds(tmp_path):
    import subprocess

    code = "import socket\ntry: socket.gethostbyname('example.org')\nexcept OSError: pass"
    words = [sys.executable, str(ROOT / "supply" / "alone.py"), sys.executable, "-c"]
    spoiled = subprocess.run([*words, code], capture_output=True, text=True)
    assert (
        spoiled.returncode == 1
        and "1 attempts" in spoiled.stderr
        and "socket.gethostbyname example.org" in spoiled.stderr
    )
    assert subprocess.run([*words, "pass"], capture_output=True).returncode == 0
    assert subprocess.run([*words, "raise SystemExit(7)"], capture_output=True).returncode == 7


WHOLE = """
import sys
import pushforward as pf
from pushforward.cli import run

x = pf.data.load("people", n=120, seed=0)
model = pf.VAE(latent=2, hidden=(16,)).fit(x, steps=3, seed=0)
model.sample(3, seed=0)
model.save("vae.pf")
pf.load("vae.pf").bound(x)
for words in (
    ["--version"],
    ["models"],
    ["doctor"],
    ["data", "make", "people", "-n", "60", "-o", "people.csv"],
    ["fit", "people.csv", "--model", "Histogram", "-o", "histogram.pf"],
    ["sample", "histogram.pf", "-n", "5", "-o", "new.csv"],
    ["score", "histogram.pf", "people.csv"],
    ["inspect", "histogram.pf"],
    ["verify", "histogram.pf"],
    ["report", "histogram.pf", "people.csv", "--quick", "-o", "report.html"],
):
    assert run(words) == 0, words
for address in ("https://example.org/a.csv", "http://192.0.2.1/a.parquet", "s3://bucket/a.csv", "ftp://example.org/a.npy", "hf://datasets/a"):
    for door in (pf.data.load, pf.load):
        try:
            door(address)
        except pf.Problem:
            print("no such path:", address)
assert "http" not in open("report.html").read().replace("http://www.w3.org/", ""), "the page asks for something from outside"
"""


def test_the_library_and_its_command_line_never_try(tmp_path):
    """An address in the place of a path is not fetched either."""
    done, attempts = python(tmp_path, WHOLE)
    assert done.returncode == 0, done.stderr
    assert attempts == [] and done.stdout.count("no such path:") == 10


def test_processes_of_a_comparison_never_try(tmp_path):
    code = """
import pushforward as pf

if __name__ == "__main__":
    found = pf.compare(pf.data.toys.moons(80, seed=0), models=["Histogram"], time="2s", seed=0)
"""
    done, attempts = python(tmp_path, code)
    assert done.returncode == 0, done.stderr
    assert attempts == []


def imports(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module or ""


def test_no_room_imports_what_could_carry_something_out():
    package = ROOT / "src" / "pushforward"
    found = {}
    for path in package.rglob("*.py"):
        if not any(carrier in path.read_text() for carrier in [*CARRIERS, "torch.hub"]):
            continue
        tree = ast.parse(path.read_text())
        for name in {name.split(".")[0] for name in imports(tree)} & CARRIERS:
            taken = {
                n.attr
                for n in ast.walk(tree)
                if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name) and n.value.id == name
            }
            found[path.relative_to(package).as_posix(), name] = taken
        assert "torch.hub" not in path.read_text(), f"{path} downloads with torch.hub"
    assert found == LOCAL, (
        "What does it carry, and where to? A carrier for this machine alone is listed in LOCAL, with what is taken of it."
    )
