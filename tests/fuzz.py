"""Files changed by chance and by malice: mutations of bytes and of JSON, a folder signed anew, and a judge of what a reader did.

`verify/trust/fuzzed.py` runs these by the hundred thousand; the tests run a few hundred with fixed seeds.
"""

from __future__ import annotations

import hashlib
import json
import random
from copy import deepcopy
from pathlib import Path
from typing import Any

MANIFEST = "MANIFEST.sha256"
TOKENS = (
    b"\x00", b"\xff", b"\xff\xfe", b"\xef\xbb\xbf", b"\r\n", b"\n", b'"', b",", b"{", b"}", b"[", b"]", b":", b"-", b"..", b"../", b"/etc/passwd",
    b"NaN", b"Infinity", b"-1", b"1e999", b"1e308", b"5e-324", b"9223372036854775808", b"18446744073709551616", b"true", b"null", b"\\u0000",
    b"\\ud800", b"\xed\xa0\x80", b"\xf0\x9f\x98\x80", b"\x80\x04\x95", b"cos\nsystem\n", b"PK\x03\x04", b"\x1f\x8b\x08", b"\x93NUMPY", b"PAR1", b"\x89PNG",
    b"\xff\xd8\xff", b"GIF89a", b"F64", b"BOOL", b"data_offsets", b"__metadata__", b"2023-02-30", b"0001-01-01", b"=cmd()", b"<script>",
)  # fmt: skip
VALUES = (
    None, True, False, 0, 1, -1, 2, 3, 7, 255, 256, 65536, 2**31, 2**53 + 1, 2**63, 10**9, 10**12, 10**40,
    0.0, -0.5, 0.5, 1e-300, 1e300, float("nan"), float("inf"), "", "x", "real", "binary", "levels", "tokens", "table", "frame", "text",
    "hw", "hwc", "float16", "float64", "int8", "object", "str", "category:str", "datetime64[us]", "Gaussian", "VAE", "Model", "os.system",
    "__import__", "../x", "\x00", "\ud7ff", "natural", [], [0], [1], [2, 2], [10**9], [10**6] * 4, [[]], {}, {"a": 1}, {"class": "Gaussian"},
)  # fmt: skip


def mutated(data: bytes, rng: random.Random, other: bytes = b"", times: int = 0) -> bytes:
    """The same bytes with one to four of them, or pieces of them, changed."""
    out = bytearray(data)
    for _ in range(times or rng.choice((1, 1, 1, 2, 2, 3, 4))):
        out = one(out, rng, other)
    return bytes(out)


def one(out: bytearray, rng: random.Random, other: bytes) -> bytearray:
    """One change."""
    at = place(rng, len(out))
    until = min(len(out), at + rng.choice((1, 1, 2, 4, 8, 16, 64, 256)))
    how = rng.randrange(9)
    if how == 0 and out:
        out[at] ^= 1 << rng.randrange(8)
    elif how == 1 and out:
        out[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
    elif how == 2:
        out[at:at] = rng.randbytes(rng.choice((1, 2, 4, 8)))
    elif how == 3:
        del out[at:until]
    elif how == 4:
        out[at:at] = out[at:until] * rng.choice((1, 2, 8))
    elif how == 5:
        del out[at:]
    elif how == 6 and other:
        start = rng.randrange(len(other))
        out[at:until] = other[start : start + rng.choice((1, 8, 64, 512))]
    elif how == 7:
        out[at:at] = rng.choice(TOKENS)
    else:
        token = rng.choice(TOKENS)
        out[at : at + len(token)] = token
    return out


def place(rng: random.Random, length: int) -> int:
    """Somewhere, the beginning and the end more often than the rest: there are the headers."""
    if not length:
        return 0
    where = rng.random()
    if where < 0.35:
        return rng.randrange(min(length, 64))
    return length - 1 - rng.randrange(min(length, 64)) if where < 0.45 else rng.randrange(length)


def reshaped(value: Any, rng: random.Random) -> Any:
    """A JSON value with one of its parts changed in type or size, dropped, doubled or moved to another place."""
    root = {"": value}
    spots: list[tuple[Any, Any]] = [(root, "")]
    walk(root[""], spots)
    holder, key = rng.choice(spots)
    how = rng.randrange(7)
    if how == 0 and holder is not root:
        del holder[key]
    elif how == 1:
        holder[key] = deepcopy(rng.choice([one[at] for one, at in spots]))
    elif how == 2 and isinstance(holder[key], list) and holder[key]:
        holder[key] = [deepcopy(one) for one in holder[key] * rng.choice((2, 3, 100))]
    elif how == 3 and isinstance(holder[key], int | float) and abs(holder[key]) < 1e200:
        holder[key] = holder[key] * rng.choice((-1, 2, 0.5, 1000, 10**9)) + rng.choice((0, 0, 1, -1))
    elif how == 4 and isinstance(holder[key], dict):
        holder[key] = {**holder[key], rng.choice(("x", "kind", "class", "", "name")): deepcopy(rng.choice(VALUES))}
    elif how == 5 and isinstance(holder[key], str):
        holder[key] = mutated(holder[key].encode(), rng, times=1).decode("utf-8", "replace")
    else:
        holder[key] = deepcopy(rng.choice(VALUES))
    return root.get("", value)


def walk(value: Any, spots: list[tuple[Any, Any]]) -> None:
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        spots.append((value, key))
        walk(value[key], spots)


def rejson(data: bytes, rng: random.Random, times: int = 1) -> bytes:
    """A JSON text with parts of its value changed; text that is none is changed as bytes."""
    try:
        value = json.loads(data)
    except ValueError:
        return mutated(data, rng)
    for _ in range(times):
        value = reshaped(value, rng)
    return json.dumps(value).encode("utf-8", "surrogatepass")


def reweighed(data: bytes, rng: random.Random) -> bytes:
    """A safetensors file whose header was changed as JSON, its length told truly or not."""
    length = int.from_bytes(data[:8], "little")
    head = rejson(data[8 : 8 + length], rng)
    told = len(head) if rng.random() < 0.8 else rng.choice((0, 1, length + 1, 2**31, 2**63, 2**64 - 1))
    return told.to_bytes(8, "little") + head + data[8 + length :]


def sign(folder: Path) -> None:
    """A manifest that fits the files of a folder as they are."""
    lines = []
    for file in sorted(folder.iterdir()):
        if file.is_file() and file.name not in (MANIFEST, "journal.jsonl"):
            lines.append(f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n")
    (folder / MANIFEST).write_text("".join(lines))
