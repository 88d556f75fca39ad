"""Examples: in memory, memory-mapped, as windows of a text and by row groups."""

import numpy as np
import pandas as pd
import pytest
import torch

from pushforward.data import Examples, load
from pushforward.data.stores import Groups, Mapped, Tensors, Windows
from pushforward.errors import BadData, Usage
from pushforward.space import Space


class InGroups:
    """A DataFrame that lies in row groups, and counts how often one is decoded."""

    def __init__(self, frame, sizes):
        self.table, self.sizes, self.starts, self.decoded = frame, sizes, np.cumsum([0, *sizes]), []

    def frame(self, group, names):
        self.decoded.append(group)
        return self.table.iloc[self.starts[group] : self.starts[group + 1]][list(names)].reset_index(drop=True)


def numbered(n):
    return np.stack([np.arange(n, dtype=np.float32), -np.arange(n, dtype=np.float32)], 1)


def in_memory(tmp_path):
    return Examples(numbered(103), given=np.arange(103) % 3)


def mapped(tmp_path):
    np.save(tmp_path / "a.npy", numbered(103))
    return load(tmp_path / "a.npy", stream=True, given=np.arange(103) % 3)


def grouped(tmp_path):
    frame = pd.DataFrame({"a": np.arange(103.0), "b": -np.arange(103.0), "c": np.arange(103) % 3})
    space, given = Space.of(frame[["a", "b"]]), Space.of(frame[["c"]])
    return Examples(Groups(InGroups(frame, [40, 40, 23]), space, given), space=space, given_space=given)


STORES = [(in_memory, Tensors), (mapped, Mapped), (grouped, Groups)]


@pytest.mark.parametrize("make, kind", STORES)
def test_take(make, kind, tmp_path):
    examples = make(tmp_path)
    assert isinstance(examples.store, kind) and len(examples) == 103
    for wanted in ([50, 3, 102, 3], torch.tensor([50, 3, 102, 3]), np.array([50, 3, 102, 3])):
        x, given = examples.take(wanted)
        assert x[:, 0].tolist() == [50, 3, 102, 3] and x[:, 1].tolist() == [-50, -3, -102, -3]
        assert given[:, 0].tolist() == [2, 0, 0, 0]
    assert examples.take(slice(10, 13))[0][:, 0].tolist() == [10, 11, 12]
    assert torch.equal(examples.x[:, 0].double(), torch.arange(103.0).double()) and len(examples.given) == 103


@pytest.mark.parametrize("make, kind", STORES)
def test_order_is_a_permutation_and_a_function_of_seed_and_epoch(make, kind, tmp_path):
    examples, again = make(tmp_path), make(tmp_path)
    first = examples.order(7, 2)
    torch.manual_seed(0)
    examples.order(0, 0)  # neither an earlier call nor the global generator counts
    assert torch.equal(first, again.order(7, 2)) and torch.equal(first, examples.order(7, 2))
    assert first.dtype == torch.long and torch.equal(first.sort().values, torch.arange(103))
    assert not torch.equal(first, examples.order(7, 3)) and not torch.equal(first, examples.order(8, 2))


@pytest.mark.parametrize("make, kind", STORES)
def test_split_is_disjoint_whole_and_reproducible(make, kind, tmp_path):
    examples = make(tmp_path)
    train, valid = examples.split(0.2, seed=1)
    a, b = train.x[:, 0].tolist(), valid.x[:, 0].tolist()
    assert len(train) == 82 and len(valid) == 21 and sorted(a + b) == list(range(103))
    assert a == sorted(a) and b == sorted(b)
    assert torch.equal(examples.split(0.2, seed=1)[1].x, valid.x) and not torch.equal(
        examples.split(0.2, seed=2)[1].x, valid.x
    )
    assert torch.equal(valid.given[:, 0].double(), valid.x[:, 0].double() % 3)
    assert torch.equal(train.order(0, 0).sort().values, torch.arange(82))
    again, _ = train.split(0.5, seed=0)  # a part can be split again
    assert set(again.x[:, 0].tolist()) < set(a)
    assert type(train.store) is kind and train.space == examples.space


@pytest.mark.parametrize("make, kind", STORES)
def test_head_part_and_to(make, kind, tmp_path):
    examples = make(tmp_path)
    assert examples.head(5).x[:, 0].tolist() == [0, 1, 2, 3, 4] and len(examples.head(10**6)) == 103
    assert sorted(examples.part([4, 90, 2]).x[:, 0].tolist()) == [2, 4, 90]
    assert examples.to("cpu").take([3])[0].device.type == "cpu" and len(examples.part([1, 2]).to("cpu")) == 2
    assert examples.to("meta").take([3])[0].device.type == "meta"


def test_bytes_stay_bytes():
    images = np.random.default_rng(0).integers(0, 256, (20, 3, 8, 8), dtype=np.uint8)
    examples = Examples(images)
    assert examples.store.x.dtype == torch.uint8 and examples.take([1])[0].dtype == torch.uint8
    assert np.array_equal(examples.space.restore(examples.x), images)


def test_each_row_group_is_decoded_once_an_epoch():
    frame = pd.DataFrame({"a": np.arange(1000.0), "b": np.arange(1000.0) ** 2})
    source = InGroups(frame, [100] * 10)
    space = Space.of(frame)
    store = Groups(source, space)
    store.buffer = 3
    order = store.order(torch.Generator().manual_seed(0))
    seen = torch.cat([store.take(batch)[0][:, 0] for batch in order.split(32)])  # batches straddle the buffers
    assert torch.equal(seen, order.double()) and sorted(source.decoded) == list(range(10))
    assert len(store.decoded) <= 3


def test_row_groups_are_mixed_within_the_buffer():
    frame = pd.DataFrame({"a": np.arange(1000.0), "b": np.arange(1000.0) ** 2})
    store = Groups(InGroups(frame, [100] * 10), Space.of(frame))
    order = store.order(torch.Generator().manual_seed(0))
    assert len(set((order[:100] // 100).tolist())) > 5


def test_windows_cover_the_text_once_an_epoch_from_a_moving_start():
    examples = Examples(Windows(torch.arange(107), 10), space=Space("tokens", (10,), 107))
    assert len(examples) == 10 and torch.equal(examples.x.flatten(), torch.arange(100))
    starts = set()
    for epoch in range(40):
        rows = examples.take(examples.order(0, epoch))[0]
        assert len(rows) == 10 and (rows.diff(dim=1) == 1).all()  # whole stretches, in their order
        first = rows[:, 0].sort().values
        starts.add(int(first[0]))
        assert (first.diff()[:-1] == 10).all() and first[-1] <= 97
    assert len(starts) > 6 and torch.equal(examples.order(3, 4), examples.order(3, 4))


def test_windows_give_up_the_end_of_the_text():
    examples = Examples(Windows(torch.arange(107), 10), space=Space("tokens", (10,), 107))
    train, valid = examples.split(0.2)
    assert len(valid) == 2 and valid.x.min() == 87 and train.store.stream.max() == 86
    assert torch.equal(examples.head(2).x, torch.arange(20).reshape(2, 10))


def test_memory_mapped_rows_are_checked_once_with_their_place(tmp_path):
    x = numbered(50)
    x[31, 1] = np.nan
    np.save(tmp_path / "a.npy", x)
    with pytest.raises(BadData, match="row 31"):
        load(tmp_path / "a.npy", stream=True)


def test_labels_of_one_axis():
    for given in (
        ["a", "b", "a"],
        np.array(["a", "b", "a"]),
        pd.Series(["a", "b", "a"], name="kind"),
        {"kind": ["a", "b", "a"]},
    ):
        examples = Examples(np.eye(3), given)
        assert examples.given[:, 0].tolist() == [0, 1, 0] and examples.given_space.kind == "table"
    assert Examples(np.eye(3), torch.tensor([4, 5, 4])).given_space.shape == (1,)
    assert Examples(np.eye(3), np.ones((3, 2))).given.shape == (3, 2)


def test_whole_numbers_without_gaps_are_classes():
    column = Examples(np.eye(4), np.array([0, 2, 1, 2])).given_space.columns[0]
    assert column.kind == "category" and column.categories == (0, 1, 2)
    for quantity in ([31, 45, 18, 31], [0, 1, 2, 3], [0.0, 1.0, 2.5, 1.0]):  # ages, row numbers, measurements
        assert Examples(np.eye(4), np.array(quantity)).given_space.kind in ("real", "table")
        assert not any(c.discrete for c in Examples(np.eye(4), np.array(quantity)).given_space.columns)


def test_what_is_refused():
    with pytest.raises(BadData, match="x has 3 rows and given has 2"):
        Examples(np.eye(3), np.ones((2, 1)))
    with pytest.raises(BadData, match="0 sample"):
        Examples(np.ones((0, 2)))
    with pytest.raises(BadData, match="One example cannot be split"):
        Examples(np.ones((1, 2))).split(0.5)
    with pytest.raises(Usage, match="between 0 and 1"):
        Examples(np.ones((9, 2))).split(1.5)
    with pytest.raises(BadData, match="do not fit"):
        Windows(torch.arange(5), 6)
    with pytest.raises(Usage, match="does not know its space"):
        Examples(Tensors(torch.zeros(3, 2)))


def test_prints_what_it_is():
    assert repr(Examples(np.eye(3), name="eye")) == "Examples(eye: 3 of real of shape (3,))"
