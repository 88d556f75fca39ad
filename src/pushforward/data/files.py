"""Bytes and text from files, with errors that say where."""

from __future__ import annotations

import gzip
import stat
import zlib
from pathlib import Path

from ..engine.safe import what
from ..errors import BadFile, Usage, did_you_mean

ENCODINGS = ("utf-8", "latin-1", "utf-16", "cp1252", "ascii", "shift_jis", "gb18030", "koi8-r")
UTF16 = (b"\xff\xfe", b"\xfe\xff")
WINDOWS = range(0x80, 0xA0)
UNPACKED, RATIO = (
    1 << 28,
    200,
)  # bytes that may always be unpacked, and how many times its size a larger file may become
CELL = 8  # bytes that a cell of a table takes at least


def there(path: Path) -> bool:
    """Whether a file or folder is there. A device may have no end, and a pipe that lies in a folder may have nobody at its other end: these are
    refused. The pipes that a shell hands over (/dev/stdin, /dev/fd/63) are read."""
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError) as problem:
        short = str(path) if len(str(path)) <= 80 else f"{str(path)[:80]}…"
        raise BadFile(
            f"{short!r} cannot be read: {getattr(problem, 'strerror', None) or problem}. The name of a file, a folder or a built-in set is "
            "awaited; text to learn from is passed as a list of strings."
        ) from problem
    given = stat.S_ISFIFO(mode) and path.parts[:2] in (("/", "dev"), ("/", "proc"))
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or given):
        raise BadFile(
            f"{path} is {what(mode)}; a file or a folder is awaited. Write what comes out of it to a file first."
        )
    return True


def read_bytes(path: Path) -> bytes:
    """The content of a file; one whose name ends in .gz is unpacked."""
    try:
        data = unpacked(path) if path.suffix.lower() == ".gz" else path.read_bytes()
    except (EOFError, zlib.error, gzip.BadGzipFile) as problem:
        raise BadFile(
            f"{path} is not a whole gzip file ({problem}). Fetch it again, or rename it if it is not packed."
        ) from problem
    except OSError as problem:
        raise BadFile(f"{path} cannot be read: {problem.strerror or problem}.") from problem
    if not data:
        raise BadFile(f"{path} is empty (0 bytes).")
    return data


def unpacked(path: Path) -> bytes:
    """What is packed in a gzip file, up to a bound: a thousand bytes can be made from one."""
    packed, parts, size = path.stat().st_size, [], 0
    with gzip.open(path, "rb") as file:
        while part := file.read(1 << 20):
            parts.append(part)
            size += len(part)
            check_unpacked(path, size, packed)
    return b"".join(parts)


def check_unpacked(path: Path, size: int, packed: int) -> None:
    """Refuse what unpacks to very much from very little."""
    if size > UNPACKED and size > RATIO * packed:
        raise BadFile(
            f"{path} has {packed:,} bytes and unpacks to {size:,} or more, over {RATIO} times as many: a file made to fill the memory looks so. "
            "If it is meant so, unpack it first and load what comes out."
        )


def read_text(path: Path, encoding: str = "utf-8") -> str:
    """The text of a file, decoded strictly. A byte-order mark is not part of the text; line ends stay as they are."""
    data = read_bytes(path)
    try:
        text = data.decode("utf-8-sig" if encoding.lower().replace("_", "-") in ("utf-8", "utf8") else encoding)
    except UnicodeDecodeError as problem:
        # The codec that drops a byte-order mark counts from behind it.
        at = problem.start + (len(data) - len(problem.object))
        windows = any(byte in data for byte in WINDOWS)  # no letters in latin-1
        hint = "utf-16" if data.startswith(UTF16) else "cp1252" if windows or encoding == "latin-1" else "latin-1"
        raise BadFile(
            f"{path} is not {encoding} text: byte 0x{data[at]:02x} at offset {at} (line {data.count(bytes([10]), 0, at) + 1}). "
            f'If it was written in another encoding, say which: encoding="{hint}".'
        ) from problem
    except (LookupError, UnicodeError) as problem:  # no such encoding, or one that is not of files
        raise Usage(f"There is no encoding {encoding!r}.{did_you_mean(encoding, ENCODINGS)}") from problem
    if not text.strip():
        raise BadFile(f"{path} holds no text, only blanks.")
    return text
