"""NumPy's files and idx: what is read, and that no pickle ever is."""

import gzip
import hashlib
import pickle

import numpy as np
import pytest
import torch

from pushforward.data import load
from pushforward.data.arrays import read_npy
from pushforward.data.idx import read_idx
from pushforward.data.stores import Mapped
from pushforward.errors import BadFile, Usage

X = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)


class Canary:
    """What a hostile file would run."""

    def __reduce__(self):
        return (open, (self.path, "w"))

    def __init__(self, path):
        self.path = str(path)


def test_npy(tmp_path):
    np.save(tmp_path / "a.npy", X)
    whole, mapped = load(tmp_path / "a.npy"), load(tmp_path / "a.npy", stream=True)
    assert isinstance(mapped.store, Mapped) and isinstance(mapped.store.array, np.memmap)
    assert torch.equal(whole.x, torch.from_numpy(X)) and torch.equal(mapped.x, whole.x) and mapped.space == whole.space
    assert isinstance(load(read_npy(tmp_path / "a.npy", stream=True)).store, Mapped)  # a map is recognised as such


def test_mapped_images_stay_bytes(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (30, 8, 8), dtype=np.uint8)
    np.save(tmp_path / "a.npy", images)
    examples = load(tmp_path / "a.npy", stream=True)
    x, _ = examples.take([7, 3])
    assert x.dtype == torch.uint8 and np.array_equal(x[:, 0].numpy(), images[[7, 3]])


def test_npz(tmp_path):
    np.savez(tmp_path / "one.npz", a=X)
    np.savez(tmp_path / "two.npz", images=X, labels=np.arange(20) % 4)
    np.savez(tmp_path / "named.npz", x=X, y=np.arange(20))
    assert len(load(tmp_path / "one.npz")) == len(load(tmp_path / "named.npz")) == 20
    examples = load(tmp_path / "two.npz", given="labels")
    assert examples.space.shape == (3,) and examples.given[:, 0].tolist() == [i % 4 for i in range(20)]
    assert load(tmp_path / "two.npz", key="images", given=np.arange(20) % 2).given_space.columns[0].size == 2
    with pytest.raises(Usage, match="holds 2 arrays: images, labels. Say which with key="):
        load(tmp_path / "two.npz")
    with pytest.raises(Usage, match="no array 'label'. Did you mean 'labels'"):
        load(tmp_path / "two.npz", key="images", given="label")


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "pickled.npy", "pickled.npz"])
@pytest.mark.parametrize("stream", [None, True])
def test_pickled_objects_are_refused_and_do_not_run(tmp_path, name, stream):
    objects = np.array([Canary(tmp_path / "ran")], dtype=object)
    if name.startswith("pickled"):
        (tmp_path / name).write_bytes(pickle.dumps(Canary(tmp_path / "ran")))
    else:
        (np.save if name.endswith("npy") else np.savez)(tmp_path / name, objects)
    with pytest.raises(BadFile, match=f"{name} .*never read") as caught:
        load(tmp_path / name, **({"stream": stream} if name.endswith("npy") else {}))
    assert not (tmp_path / "ran").exists() and caught.value.exit_code == 3


@pytest.mark.parametrize("name", ["m.pkl", "m.pt", "m.joblib"])
def test_kinds_of_file_that_run_code_are_not_opened(tmp_path, name):
    (tmp_path / name).write_bytes(pickle.dumps(Canary(tmp_path / "ran")))
    with pytest.raises(BadFile, match="never read"):
        load(tmp_path / name)
    assert not (tmp_path / "ran").exists()


def test_damaged_files(tmp_path):
    np.save(tmp_path / "a.npy", X)
    np.savez_compressed(tmp_path / "a.npz", x=np.tile(X, (50, 1)), y=X)
    for path in (tmp_path / "a.npy", tmp_path / "a.npz"):
        whole = path.read_bytes()
        for size in (0, 5, 40, len(whole) - 7):
            path.write_bytes(whole[:size])
            with pytest.raises(BadFile, match=path.name):
                load(path)


def test_a_flipped_byte_in_an_archive(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", x=X)
    flipped = bytearray((tmp_path / "a.npz").read_bytes())
    flipped[len(flipped) // 2] ^= 255
    (tmp_path / "a.npz").write_bytes(bytes(flipped))
    with pytest.raises(BadFile, match="not a whole NumPy file"):
        load(tmp_path / "a.npz")


def test_arrays_that_are_no_rows(tmp_path):
    np.save(tmp_path / "a.npy", np.float64(3))
    with pytest.raises(BadFile, match="a single number"):
        load(tmp_path / "a.npy")
    np.save(tmp_path / "b.npy", np.zeros(3, dtype=[("a", "f4")]))
    with pytest.raises(BadFile, match="named fields"):
        load(tmp_path / "b.npy")
    np.savez(tmp_path / "c.npz", x=X)
    (tmp_path / "c.npz").rename(tmp_path / "c.npy")
    with pytest.raises(BadFile, match="Rename it to .npz"):
        load(tmp_path / "c.npy")
    np.save(tmp_path / "d.npy", X)
    (tmp_path / "d.npy").rename(tmp_path / "d.npz")
    with pytest.raises(BadFile, match="Rename it to .npy"):
        load(tmp_path / "d.npz")


def idx(array, code):
    head = bytes([0, 0, code, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
    return head + array.astype(array.dtype.newbyteorder(">")).tobytes()


@pytest.mark.parametrize("dtype, code", [("u1", 8), ("i1", 9), ("i2", 11), ("i4", 12), ("f4", 13), ("f8", 14)])
def test_idx(tmp_path, dtype, code):
    array = (np.arange(2 * 3 * 4).reshape(2, 3, 4) - 5).astype(dtype)
    (tmp_path / "a.idx").write_bytes(idx(array, code))
    (tmp_path / "t-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(array, code)))
    for name in ("a.idx", "t-images-idx3-ubyte.gz"):
        got = read_idx(tmp_path / name)
        assert (
            got.dtype == np.dtype(dtype) and got.dtype.isnative and got.flags.writeable and np.array_equal(got, array)
        )


def test_idx_images_with_labels(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (12, 5, 4), dtype=np.uint8)
    (tmp_path / "x-images-idx3-ubyte").write_bytes(idx(images, 8))
    (tmp_path / "x-labels.idx1-ubyte").write_bytes(idx((np.arange(12) % 3).astype("u1"), 8))
    examples = load(tmp_path / "x-images-idx3-ubyte", given=tmp_path / "x-labels.idx1-ubyte")
    assert str(examples.space) == "levels(256) of shape (1, 5, 4)" and examples.given[:, 0].tolist() == [
        i % 3 for i in range(12)
    ]
    black = load(tmp_path / "x-images-idx3-ubyte", threshold=127)
    assert black.space.kind == "binary" and np.array_equal(black.x[:, 0].numpy(), images > 127)
    with pytest.raises(BadFile, match="no such file"):
        load(tmp_path / "x-images-idx3-ubyte", given=str(tmp_path / "labels.idx"))


@pytest.mark.parametrize(
    "content, says",
    [
        (b"", "empty"),
        (b"PK\3\4", "not an idx file: it begins with 50 4b"),
        (b"\0\0\x08\x03\0\0", "cut short"),
        (b"\0\0\x08\x01\0\0\0\x05ab", "10 bytes .*promises 13"),
    ],
)
def test_bad_idx(tmp_path, content, says):
    (tmp_path / "a.idx").write_bytes(content)
    with pytest.raises(BadFile, match=says):
        load(tmp_path / "a.idx")


def test_mnist(real_data):
    folder = real_data / "mnist"
    examples = load(folder / "t10k-images-idx3-ubyte.gz", given=folder / "t10k-labels-idx1-ubyte.gz")
    assert len(examples) == 10_000 and str(examples.space) == "levels(256) of shape (1, 28, 28)"
    content = gzip.decompress((folder / "t10k-images-idx3-ubyte.gz").read_bytes())
    assert hashlib.md5(content).hexdigest() == "2646ac647ad5339dbf082846283269ea"  # as first published
    assert examples.x.numpy().tobytes() == content[16:]
    assert examples.given[:5, 0].tolist() == [7, 2, 1, 0, 4]
