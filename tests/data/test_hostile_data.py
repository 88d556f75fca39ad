"""Data files that somebody made to do harm, or that lie about their size: an error that names them, and nothing else."""

from __future__ import annotations

import gzip
import io
import os
import pickle
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pushforward.data import load
from pushforward.data.images import read_image

sys.path.insert(0, str(Path(__file__).parents[1]))
from hostile import CANARY, Payload, attempt

ROOM = 64 << 20


def npy(header: str, body: bytes = b"", version: bytes = b"\x01\x00") -> bytes:
    head = header.encode("latin-1") + b"\n"
    return (
        b"\x93NUMPY"
        + version
        + (struct.pack("<H", len(head)) if version[0] == 1 else struct.pack("<I", len(head)))
        + head
        + body
    )


def told(shape: str, kind: str = "<f8") -> str:
    return f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}"


def archive(members: dict[str, bytes], packing: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", packing) as file:
        for name, data in members.items():
            file.writestr(name, data)
    return buffer.getvalue()


def saved(array: np.ndarray, **options: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, **options)
    return buffer.getvalue()


def bomb(size: int) -> bytes:
    """A zip archive with one array of zeros, written without the array being there."""
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file,
        file.open("x.npy", "w", force_zip64=True) as member,
    ):
        member.write(npy(told(f"({size // 8 >> 20 << 10}, 1024)")))
        for _ in range(size >> 20):
            member.write(bytes(1 << 20))
    return buffer.getvalue()


def packed(size: int) -> bytes:
    """A gzip file of so many zeros."""
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0) as file:
        for _ in range(size >> 20):
            file.write(bytes(1 << 20))
    return buffer.getvalue()


def png(width: int, height: int, rows: bytes = b"") -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def picture(kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(buffer, kind, **options)
    return buffer.getvalue()


def parquet(value: Any, rows: int, groups: int = 1, columns: int = 1) -> bytes:
    """A small Parquet file with one value, many times."""
    import pyarrow as pa
    import pyarrow.parquet as parquet

    table = pa.table({f"c{i}": pa.repeat(value, rows) for i in range(columns)})
    buffer = io.BytesIO()
    with parquet.ParquetWriter(buffer, table.schema, use_dictionary=True) as file:
        for _ in range(groups):
            file.write_table(table, row_group_size=rows)
    return buffer.getvalue()


def keys(n: int) -> bytes:
    return ("{" + ", ".join(f'"k{i}": 1' for i in range(n)) + "}").encode()


POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n(canary) (w) file\nshowpage\n%%EOF\n"
HOSTILE: dict[str, tuple[str, Callable[[Path], bytes], str]] = {
    # what: (the file's name, its bytes, a part of the refusal)
    "a pickle as csv": ("x.csv", lambda p: pickle.dumps(Payload(p.parent / CANARY)), "x.csv"),
    "a pickle as npy": ("x.npy", lambda p: pickle.dumps(Payload(p.parent / CANARY)), "pickled"),
    "a pickle as npz": ("x.npz", lambda p: pickle.dumps(Payload(p.parent / CANARY)), "pickled"),
    "a pickle as parquet": ("x.parquet", lambda p: pickle.dumps(Payload(p.parent / CANARY)), "Parquet"),
    "a pickle under its own name": ("x.pkl", lambda p: pickle.dumps(Payload(p.parent / CANARY)), "never read"),
    "a checkpoint of torch": ("x.pt", lambda p: pickle.dumps(Payload(p.parent / CANARY)), "never read"),
    "objects in an array": ("x.npy", lambda p: saved(np.array([Payload(p.parent / CANARY)], dtype=object), allow_pickle=True), "pickled"),
    "objects in an archive": ("x.npz", lambda p: archive({"x.npy": saved(np.array([Payload(p.parent / CANARY)], dtype=object), allow_pickle=True)}), "pickled"),
    "an array of 10^12 numbers": ("x.npy", lambda p: npy(told("(1000000, 1000000)")), "promises"),
    "an array of 10^40 numbers": ("x.npy", lambda p: npy(told(f"({10**20}, {10**20})")), "x.npy"),
    "an array below 0": ("x.npy", lambda p: npy(told("(-3, 2)"), bytes(48)), "x.npy"),
    "a shape that is code": ("x.npy", lambda p: npy("{'descr': '<f8', 'fortran_order': False, 'shape': __import__('os').system('x')}"), "x.npy"),
    "a header that does not end": ("x.npy", lambda p: npy("{'descr': '<f8', (("), "x.npy"),
    "a header of 20 MB": ("x.npy", lambda p: npy("(" * (20 << 20), version=b"\x02\x00"), "x.npy"),
    "records in an array": ("x.npy", lambda p: saved(np.zeros(3, dtype=[("a", "f8")])), "records"),
    "an archive that unpacks to 300 MB": ("x.npz", lambda p: bomb(300 << 20), "unpack it first"),
    "an archive of files that are no arrays": ("x.npz", lambda p: archive({"x": b"hello"}), "no array"),
    "an archive with a way out": ("x.npz", lambda p: archive({"../../canary-of-pushforward": b"hello"}), "no array"),
    "an archive in an archive": ("x.npz", lambda p: archive({"x.npz": archive({"x.npz": archive({"x.npy": saved(np.zeros(3))})})}), "no array"),
    "an archive that is cut short": ("x.npz", lambda p: archive({"x.npy": saved(np.zeros(300))})[:-9], "x.npz"),
    "a gzip file that unpacks to 300 MB": ("x.csv.gz", lambda p: packed(300 << 20), "unpack it first"),
    "an idx file of 255 axes": ("x.idx", lambda p: b"\0\0\x08\xff" + b"\0\0\0\x01" * 255 + b"\0", "axes"),
    "an idx file of 2^96 numbers": ("x.idx", lambda p: b"\0\0\x08\x03" + b"\xff" * 12, "promises"),
    "an idx file of nothing by 2^64": ("x.idx", lambda p: b"\0\0\x08\x03\0\0\0\0" + b"\xff" * 8, "no numbers"),
    "a table of 34 million cells in a few bytes": ("x.parquet", lambda p: parquet(1.5, 17_000_000, columns=2), "unpack it first"),
    "a table of 48 million cells in many groups": ("x.parquet", lambda p: parquet(1.5, 1_000_000, 12, 4), "unpack it first"),
    "a word of 10,000 letters 32,000 times": ("x.parquet", lambda p: parquet("x" * 10_000, 4_000, 8), "unpack it first"),
    "an array of 10^9 words of no letters": ("x.npy", lambda p: npy(told("(1000000000, 1)", "|S0")), "hold nothing"),
    "an array of 10^9 things of no bytes": ("x.npy", lambda p: npy(told("(1000000000, 1)", "|V0")), "hold nothing"),
    "JSON lines of which one has all the keys": ("x.jsonl", lambda p: keys(6_000) + b"\n" + b"{}\n" * 6_000, "unpack it first"),
    "JSON of which one object has all the keys": ("x.json", lambda p: b"[" + keys(6_000) + b", {}" * 6_000 + b"]", "unpack it first"),
    "lines of text of which one is very long": ("x.txt", lambda p: b"ab\n" * 20_000 + b"x" * 50_000 + b"\n", "has 50,000 characters"),
    "JSON of a million brackets": ("x.json", lambda p: b"[" * 1_000_000, "x.json"),
    "JSON lines of 100,000 brackets": ("x.jsonl", lambda p: b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "x.jsonl"),
    "JSON with a number of 10,000 digits": ("x.json", lambda p: b'[{"a": ' + b"9" * 10_000 + b"}]", "x.json"),
    "JSON with a number beyond all floats": ("x.json", lambda p: b'[{"a": 1e999}, {"a": 2}]', "infinite"),
    "JSON with half a character": ("x.json", lambda p: b'[{"a": "\\ud800"}, {"a": "b"}]', "surrogates"),
    "YAML with a tag": ("x.yaml", lambda p: b"!!python/object/apply:os.system [x]", "x.yaml"),
    "a cell that is never closed": ("x.csv", lambda p: b'a,b\n1,"' + b"x" * 200_000, "x.csv"),
    "NUL bytes in a table": ("x.csv", lambda p: b"a,b\n1,\0\n", "NUL"),
    "PostScript under the name of a picture": ("y/x.png", lambda p: POSTSCRIPT, "not an image"),
    "a picture of 2.5 gigapixels": ("y/x.png", lambda p: png(50_000, 50_000), "declares more"),
    "a picture of 80 megapixels in 100 bytes": ("y/x.png", lambda p: png(8_900, 9_000), "declares more"),
    "a picture that is cut short": ("y/x.jpg", lambda p: picture("JPEG")[:-200], "damaged"),
    "a picture of nothing": ("y/x.png", lambda p: b"", "x.png"),
    "a drawing": ("y/x.svg", lambda p: b"<svg onload='alert(1)'/>", "cannot be read"),
    "a model as data": ("y/card.json", lambda p: b"{}", "saved model"),
}  # fmt: skip


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_file_is_an_error_and_nothing_else(what, tmp_path):
    name, data, named = HOSTILE[what]
    path = tmp_path / "data" / name
    path.parent.mkdir(parents=True)
    path.write_bytes(data(path))
    for program in ("gs", "x"):  # what would be started if anything were
        trap = tmp_path / program
        trap.write_text(f"#!/bin/sh\ntouch {tmp_path / CANARY}\n")
        trap.chmod(0o755)
    source = path.parent if name.startswith("y/") else path
    load([[0.0], [1.0]])  # what is imported on first use is imported here

    def read() -> None:
        os.environ["PATH"] = f"{tmp_path}:{os.environ['PATH']}"
        load(source, **({"lines": True} if name.endswith(".txt") else {}))

    kind, said = attempt(read, tmp_path / "data", ROOM + path.stat().st_size + (256 << 20 if "300 MB" in what else 0))
    assert kind in ("BadFile", "BadData", "Usage"), f"{kind}: {said}"
    assert named in said, said
    assert path.name in said or source.name in said or "infinite" in said or "characters" in said, said
    assert not (tmp_path / CANARY).exists() and sorted(p.name for p in tmp_path.iterdir()) == ["data", "gs", "x"]


def test_what_packs_well_and_is_small_is_read(tmp_path):
    x = np.zeros((20_000, 20))
    x[:, 0] = np.arange(20_000)
    np.savez_compressed(tmp_path / "x.npz", x=x)
    assert (tmp_path / "x.npz").stat().st_size * 50 < x.nbytes and len(load(tmp_path / "x.npz")) == 20_000
    (tmp_path / "x.csv.gz").write_bytes(gzip.compress(b"a,b\n" + b"1,2\n" * 50_000))
    assert len(load(tmp_path / "x.csv.gz")) == 50_000


def test_a_blank_page_is_a_picture_and_not_a_bomb(tmp_path):
    Image.new("1", (2480, 3508), 1).save(tmp_path / "page.tiff", compression="group4")
    Image.new("L", (2480, 3508), 255).save(tmp_path / "page.png")
    assert read_image(tmp_path / "page.tiff")[1] and read_image(tmp_path / "page.png")[0].shape == (1, 3508, 2480)


def test_two_keys_of_one_name_in_a_line_of_json_are_told(tmp_path):
    (tmp_path / "x.jsonl").write_text('{"a": 1, "a": 2}\n{"a": 3}\n')
    kind, said = attempt(lambda: load(tmp_path / "x.jsonl"), tmp_path)
    assert kind == "BadFile" and "twice" in said and "line 1" in said


def test_a_text_takes_little_more_than_its_size(tmp_path):
    """Its bytes, its characters and their codes, and not four and eight bytes for each."""
    (tmp_path / "x.txt").write_bytes(b"to be or not to be\n" * 2_000_000)
    size = (tmp_path / "x.txt").stat().st_size
    load(["a"])
    assert attempt(lambda: load(tmp_path / "x.txt"), tmp_path, 3 * size + ROOM) == ("loaded", "")


def test_pipes_and_links_to_devices_are_not_read(tmp_path):
    os.mkfifo(tmp_path / "x.csv")
    (tmp_path / "y.csv").symlink_to("/dev/zero")
    (tmp_path / "z").mkdir()
    os.mkfifo(tmp_path / "z" / "x.png")
    for name, says in (("x.csv", "is a pipe"), ("y.csv", "is a device"), ("z", "no image")):
        kind, said = attempt(lambda name=name: load(tmp_path / name), tmp_path)
        assert kind == "BadFile" and says in said, said


def test_a_table_takes_some_times_its_size(tmp_path):
    """Its words are kept as bytes until a column is made of them; sixty bytes for each would be fifteen times the file."""
    numbers = np.random.default_rng(0).normal(size=(6_000, 17)).round(5)
    rows = "".join(",".join(map(str, row)) + "\n" for row in numbers.tolist())
    (tmp_path / "x.csv").write_text(",".join(f"c{i}" for i in range(17)) + "\n" + rows * 14)
    size = (tmp_path / "x.csv").stat().st_size
    load({"a": [0.5, 1.5]})
    assert attempt(lambda: load(tmp_path / "x.csv"), tmp_path, 5 * size + ROOM) == ("loaded", "")
