"""A disk that fails: every operation that changes something below a folder is counted, and the one that a test names fails, or the power is cut after it.

    with Faults(folder, at=7, number=errno.ENOSPC) as disk: …      the 7th operation fails (`lasting`: and what needs the disk after it too)
    with Faults(folder) as disk: …                                 nothing fails, and disk.trace has what was done

An operation is a call that makes, writes, flushes, renames or removes: of os, of open files, shutil.copyfile, safetensors and the exchange of two names.
`missed` holds what Python did below the folder outside of these (its audit events), so that a test can say that nothing was.
Flushes are not carried out, only noted: what was not flushed is what a cut may take.
"""

import builtins
import errno
import io
import os
import shutil
import sys
from pathlib import Path

import safetensors.torch
from safetensors import SafetensorError

from pushforward.engine import files

NEEDS_ROOM = {"mkdir", "create", "write", "copy", "tensors", "exchange"}
CHANGES = {
    "os.mkdir",
    "os.rename",
    "os.remove",
    "os.rmdir",
    "os.truncate",
    "os.link",
    "os.symlink",
    "os.chmod",
    "os.utime",
}
OPEN = os.open
current = None


def audit(event, arguments):
    """Changes of which the layer knows nothing. A hook cannot be taken away, so it asks whether there is a layer."""
    disk = current
    if disk is None or disk.inside:
        return
    if event == "open":
        path, _, flags = arguments
        writes = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        if writes and isinstance(path, str | bytes | os.PathLike) and disk.below(os.fsdecode(path)):
            disk.missed.append((event, os.fsdecode(path)))
    elif event in CHANGES:
        names = [os.fsdecode(a) for a in arguments[:2] if isinstance(a, str | bytes | os.PathLike)]
        disk.missed += [(event, name) for name in names if disk.below(name)]


sys.addaudithook(audit)


def where(handle):
    return os.readlink(f"/proc/self/fd/{handle}")


class Faults:
    """The layer. `number` is an errno, or "short" for a write that takes half of what it was given and says so."""

    def __init__(self, root, at=0, number=errno.ENOSPC, lasting=False):
        self.root, self.at, self.number, self.lasting = os.path.realpath(root), at, number, lasting
        self.count, self.fired, self.inside = 0, 0, 0
        self.trace, self.missed = [], []
        self.start = snapshot(self.root)

    # ---- what is replaced ----------------------------------------------------------------------------------------
    def __enter__(self):
        global current
        self.old = []
        for module, name in [(os, n) for n in ("mkdir", "rename", "replace", "unlink", "remove", "rmdir", "fsync")] + [
            (os, "open"), (os, "write"), (os, "chmod"), (os, "utime"), (os, "ftruncate"), (shutil, "copyfile"),
            (safetensors.torch, "save_file"), (files, "exchange"), (io, "open"), (builtins, "open"),
        ]:  # fmt: skip
            real = getattr(module, name)
            self.old.append((module, name, real))
            maker = getattr(self, f"_{name}" if module is not io and module is not builtins else "_file")
            setattr(module, name, maker(real))
        current = self
        return self

    def __exit__(self, *error):
        global current
        current = None
        for module, name, real in self.old:
            setattr(module, name, real)

    def below(self, path):
        return f"{os.path.abspath(path)}{os.sep}".startswith(self.root + os.sep)

    def op(self, name, path, act, half=None, log=None):
        """Count an operation; do it, or half of it and fail."""
        path = os.path.abspath(os.fsdecode(path))
        if self.inside or not self.below(path):
            return act()
        self.count += 1
        if self.at and (self.count == self.at or (self.lasting and self.count > self.at and self.hits(name))):
            self.fired += 1
            if self.number != "short":
                self.inside += 1
                try:
                    if half:
                        half()
                finally:
                    self.inside -= 1
                raise OSError(self.number, os.strerror(self.number), path)
        self.inside += 1
        try:
            found = act()
            if log:
                log()
            return found
        finally:
            self.inside -= 1

    def hits(self, name):
        return name in NEEDS_ROOM if self.number == errno.ENOSPC else True

    def note(self, *what):
        self.trace.append((self.count, *what))

    def content(self, path):
        with OPENED(path, "rb") as file:
            self.note("content", path, file.read())

    # ---- operations ------------------------------------------------------------------------------------------------
    def _mkdir(self, real):
        def mkdir(path, *a, **k):
            path = os.path.abspath(os.fsdecode(path))
            return self.op("mkdir", path, lambda: real(path, *a, **k), log=lambda: self.note("mkdir", path))

        return mkdir

    def _rename(self, real):
        def rename(a, b, **k):
            a, b = os.path.abspath(os.fsdecode(a)), os.path.abspath(os.fsdecode(b))
            return self.op("rename", a, lambda: real(a, b, **k), log=lambda: self.note("rename", a, b))

        return rename

    _replace = _rename

    def removing(self, real, kind):
        def remove(path, *a, dir_fd=None, **k):
            whole = os.path.join(where(dir_fd), os.fsdecode(path)) if dir_fd is not None else os.fsdecode(path)
            whole = os.path.abspath(whole)
            act = lambda: real(path, *a, dir_fd=dir_fd, **k)  # noqa: E731
            return self.op(kind, whole, act, log=lambda: self.note(kind, whole))

        return remove

    def _unlink(self, real):
        return self.removing(real, "unlink")

    _remove = _unlink

    def _rmdir(self, real):
        return self.removing(real, "rmdir")

    def _fsync(self, real):
        def fsync(handle):
            path = where(handle if isinstance(handle, int) else handle.fileno())
            return self.op("fsync", path, lambda: None, log=lambda: self.note("fsync", path))

        return fsync

    def _open(self, real):
        def opening(path, flags, *a, **k):
            if not flags & (os.O_CREAT | os.O_TRUNC) or k.get("dir_fd") is not None:
                if flags & (os.O_WRONLY | os.O_RDWR) and self.below(os.fsdecode(path)):
                    self.inside += 1  # what is written through it is counted
                    try:
                        return real(path, flags, *a, **k)
                    finally:
                        self.inside -= 1
                return real(path, flags, *a, **k)
            path = os.path.abspath(os.fsdecode(path))
            log = (lambda: None) if os.path.lexists(path) else (lambda: self.note("create", path))
            return self.op("create", path, lambda: real(path, flags, *a, **k), log=log)

        return opening

    def _write(self, real):
        def write(handle, data):
            try:
                path = where(handle)
            except OSError:
                return real(handle, data)
            data = bytes(data)
            short = self.number == "short" and self.at == self.count + 1
            return self.op(
                "write", path, lambda: real(handle, data[: len(data) // 2] if short else data),
                half=lambda: real(handle, data[: len(data) // 2]), log=lambda: self.content(path),
            )  # fmt: skip

        return write

    def _ftruncate(self, real):
        def truncate(handle, size):
            path = where(handle)
            return self.op("write", path, lambda: real(handle, size), log=lambda: self.content(path))

        return truncate

    def _chmod(self, real):
        return lambda path, *a, **k: self.op("chmod", path, lambda: real(path, *a, **k))

    def _utime(self, real):
        return lambda path, *a, **k: real(path, *a, **k)

    def _copyfile(self, real):
        def copyfile(a, b, **k):
            b = os.path.abspath(b)

            def half():
                Path(b).write_bytes(Path(a).read_bytes()[: os.path.getsize(a) // 2])

            def log():
                self.note("create", b)
                self.content(b)

            return self.op("copy", b, lambda: real(a, b, **k), half=half, log=log)

        return copyfile

    def _save_file(self, real):
        def save_file(tensors, path, *a, **k):
            path = os.path.abspath(path)

            def half():
                real(tensors, path)
                os.truncate(path, os.path.getsize(path) // 2)

            def log():
                self.note("create", path)
                self.content(path)

            try:
                return self.op("tensors", path, lambda: real(tensors, path, *a, **k), half=half, log=log)
            except OSError as problem:  # as safetensors says it
                raise SafetensorError(f"Error while serializing: I/O error: {problem}") from problem

        return save_file

    def _exchange(self, real):
        def exchange(a, b):
            found = []
            a, b = os.path.abspath(a), os.path.abspath(b)

            def log():
                if found[0]:
                    self.note("exchange", a, b)

            try:
                self.op("exchange", a, lambda: found.append(real(Path(a), Path(b))), log=log)
            except OSError:  # the call says no, and nobody knows why
                return False
            return found[0]

        return exchange

    def _file(self, real):
        def opening(path, mode="r", *a, **k):
            if not set(mode) & set("wax+"):
                return real(path, mode, *a, **k)
            if isinstance(path, int):
                try:
                    name = where(path)
                except OSError:
                    name = ""
                if not self.below(name):
                    return real(path, mode, *a, **k)
                return Written(self, real(path, mode, *a, **k), name)
            name = os.path.abspath(os.fsdecode(path))
            if not self.below(name) or self.inside:
                return real(path, mode, *a, **k)
            log = (lambda: None) if os.path.lexists(name) and "w" not in mode else (lambda: self.note("create", name))
            return Written(self, self.op("create", name, lambda: real(path, mode, *a, **k), log=log), name)

        return opening


OPENED = builtins.open


class Written:
    """An open file whose writings are operations."""

    def __init__(self, disk, file, name):
        self.disk, self.file, self.name = disk, file, name
        self.raw = isinstance(file, io.RawIOBase)

    def write(self, data):
        if self.file.closed:
            raise ValueError("I/O operation on closed file")
        data = bytes(data) if isinstance(data, bytes | bytearray | memoryview) else data
        short = self.raw and self.disk.number == "short" and self.disk.at == self.disk.count + 1

        def act(part=data):
            found = self.file.write(part)
            self.file.flush()
            return found

        def log():
            self.disk.content(self.name)

        half = data[: max(1, len(data) // 2)]
        return self.disk.op("write", self.name, lambda: act(half if short else data), half=lambda: act(half), log=log)

    def truncate(self, size=None):
        if self.file.closed:
            raise ValueError("I/O operation on closed file")
        act = lambda: self.file.truncate(size)  # noqa: E731
        return self.disk.op("write", self.name, act, log=lambda: self.disk.content(self.name))

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.file.close()

    def __getattr__(self, name):
        return getattr(self.file, name)


def snapshot(root):
    """Folder -> {name: bytes or folder}."""
    out = {}
    for path in sorted(Path(root).iterdir()) if os.path.isdir(root) else []:
        out[path.name] = snapshot(path) if path.is_dir() and not path.is_symlink() else path.read_bytes()
    return out
