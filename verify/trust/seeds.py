"""Whole files of every kind that is read, and small models of every family: what fuzzed.py breaks."""

from __future__ import annotations

import gzip
import io
from pathlib import Path
from typing import Any


def models_of(seeds: Path) -> list[Path]:
    """Small models of every family and every kind of data."""
    import numpy as np
    import pandas as pd

    import pushforward as pf

    rng = np.random.default_rng(0)
    x, bits = rng.normal(size=(120, 2)), rng.random((120, 4)) > 0.5
    when = pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 99, 120), "D")
    frame = pd.DataFrame({"side": rng.choice(["l", "r"], 120), "x": x[:, 0], "n": rng.integers(0, 50, 120), "d": when})
    words, grey = (
        ["".join(rng.choice(list("abc"), 4)) for _ in range(120)],
        rng.integers(0, 4, (120, 4, 4)).astype(np.uint8),
    )
    how: dict[str, Any] = {"steps": 3, "batch": 32, "quiet": True, "seed": 0}
    made = [
        pf.GaussianMixture(components=2).fit(x), pf.Copula().fit(frame), pf.Histogram(bins=4).fit(frame), pf.Markov().fit(words), pf.Empirical().fit(frame),
        pf.GPT(layers=1, width=8, heads=2).fit(words, **how), pf.VAE(latent=2, hidden=(8,)).fit(grey, **how),
        pf.MADE(hidden=(8, 8)).fit(frame, given=list("ab") * 60, **how),
        pf.MAF(transforms=2, hidden=(8,)).fit(frame, **how), pf.RealNVP(transforms=2, hidden=(8,)).fit(x, **how), pf.GAN(hidden=(8,)).fit(bits, **how),
        pf.TabularGAN(hidden=(8,), modes=2).fit(frame, **how), pf.RBM(hidden=3, burn=5).fit(bits, **how),
    ]  # fmt: skip
    for model in made:  # what is imported on first use is imported here
        model.sample(1, seed=0, **({"given": "a"} if model._given is not None else {}))
    return [model.save(seeds / f"{i}.pf") for i, model in enumerate(made)]


CSV = 'name,height,when,ok,note\nada,1.65,1815-12-10,true,"x, ""y"""\n bob,,2001-01-01,false,\u00e9\ncy,1e3,,true,"two\nlines"\n'
READERS: dict[str, tuple[int, dict[str, Any]]] = {
    "csv": (9_000, {}),
    "tsv": (3_000, {}),
    "csv.gz": (3_000, {}),
    "jsonl": (6_000, {}),
    "json": (6_000, {}),
    "parquet": (5_000, {}),
    "npy": (9_000, {}),
    "npz": (5_000, {}),
    "idx": (6_000, {}),
    "idx.gz": (2_000, {}),
    "txt": (3_000, {"length": 4}),
    "lines.txt": (3_000, {"lines": True}),
    "png": (5_000, {}),
    "jpg": (4_000, {}),
    "gif": (2_000, {}),
    "tiff": (3_000, {}),
    "bmp": (2_000, {}),
    "webp": (2_000, {}),
}


def files_of(seeds: Path) -> dict[str, list[bytes]]:
    """Whole files of every kind that is read."""
    import numpy as np
    import pandas as pd

    rng = np.random.default_rng(0)
    out: dict[str, list[bytes]] = {name: [] for name in READERS}
    out["csv"] = [CSV.encode(), b"a;b\n1;2\n3;4\n5;6\n", b"x\n1\n2\n99999999999999999999\n"]
    out["tsv"] = [b"a\tb\n1\tx\n2\ty\n"]
    out["csv.gz"] = [gzip.compress(CSV.encode(), mtime=0)]
    out["jsonl"] = [b'{"a": 1, "b": "x", "c": true}\n{"a": 2.5, "b": null, "c": false}\n{"a": 3, "b": "2020-01-01"}\n']
    out["json"] = [b'[{"a": 1, "d": "2020-01-01"}, {"a": -2, "d": "2021-01-01"}, {"a": null, "d": null}]']
    frame = pd.DataFrame(
        {"a": rng.normal(size=9), "b": list("xyzxyzxyz"), "c": pd.Timestamp("2020-01-01"), "d": rng.integers(0, 9, 9)}
    )
    for compression in ("snappy", None, "zstd"):
        buffer = io.BytesIO()
        frame.to_parquet(buffer, compression=compression)
        out["parquet"].append(buffer.getvalue())
    for array in (rng.normal(size=(5, 3)), rng.integers(0, 9, (4, 3, 3)).astype(np.uint8), (rng.random((4, 2)) > 0.5)):
        buffer = io.BytesIO()
        np.save(buffer, array)
        out["npy"].append(buffer.getvalue())
        for save in (np.savez, np.savez_compressed):
            buffer = io.BytesIO()
            save(buffer, x=array, y=np.arange(4))
            out["npz"].append(buffer.getvalue())
    out["idx"] = [
        b"\0\0\x08\x03" + b"".join(n.to_bytes(4, "big") for n in (3, 4, 4)) + rng.bytes(48),
        b"\0\0\x0d\x02" + b"\0\0\0\2\0\0\0\2" + np.arange(4, dtype=">f4").tobytes(),
    ]
    out["idx.gz"] = [gzip.compress(one, mtime=0) for one in out["idx"]]
    out["txt"] = ["to be or not to be,\r\nthat is the question \u2014 \U0001f600\n".encode()]
    out["lines.txt"] = out["txt"]
    return out | pictures(rng)


def pictures(rng: Any) -> dict[str, list[bytes]]:
    import numpy as np
    from PIL import Image

    out: dict[str, list[bytes]] = {}
    colour = Image.fromarray(rng.integers(0, 256, (9, 7, 3)).astype(np.uint8))
    grey16 = Image.fromarray(rng.integers(0, 65536, (9, 7)).astype(np.uint16))
    for name, kind, images in (
        ("png", "PNG", [colour, colour.convert("P"), colour.convert("LA"), grey16, colour.convert("1")]),
        ("jpg", "JPEG", [colour, colour.convert("L"), colour.convert("CMYK")]),
        ("gif", "GIF", [colour.convert("P")]),
        ("tiff", "TIFF", [colour, grey16, colour.convert("1")]),
        ("bmp", "BMP", [colour, colour.convert("P")]),
        ("webp", "WEBP", [colour]),
    ):
        out[name] = []
        for image in images:
            buffer = io.BytesIO()
            image.save(buffer, kind)
            out[name].append(buffer.getvalue())
    return out
