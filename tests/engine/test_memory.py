"""Memory that runs out: a batch in parts is the batch, doors take fewer rows, and one line says so. An allocator is played by an error above a size."""

import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from pushforward.engine import memory
from pushforward.engine.memory import OutOfMemory, lots, parts, ran_out, why_not_gpu

sys.path.insert(0, str(Path(__file__).parent))
from lines import Line

X = np.random.default_rng(0).normal(2.0, 3.0, size=(300, 3))
HOW = dict(quiet=True, batch=64, seed=4, precision="float64", every=20)


class Narrow(Line):
    """Has memory for so many examples at a time."""

    room: int = 20
    after: int = 0  # steps before the memory gets short
    words: str = "CUDA out of memory. Tried to allocate 2.00 GiB."

    def loss(self, x, given=None):
        if len(x) > self.room and self.training and self.step >= self.after:
            raise torch.OutOfMemoryError(self.words)
        return super().loss(x, given)


class Duel(Line):
    """A game of two players, each of whom needs the room."""

    room: int = 1000

    players = ("net", "other")

    def build(self, space, given=None):
        super().build(space, given)
        self.other = torch.nn.Linear(space.size, 1)

    def moves(self, x, given=None):
        from pushforward.noise import normal

        fake = self.centre() + normal(*x.shape).to(x)
        yield "other", self.other(x).mean() - self.other(fake.detach()).mean() + 0.1 * (self.other(x) ** 2).mean()
        if len(x) > self.room and self.training:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        yield "net", -self.other(fake).mean()


def said(model):
    return [entry["said"] for entry in model.history_ if "said" in entry]


def close(one, two, tolerance=1e-12):
    return all(torch.allclose(a, two.state_dict()[name], atol=tolerance) for name, a in one.state_dict().items())


@pytest.mark.parametrize(("room", "after"), [(63, 0), (20, 0), (20, 33), (3, 11)])
def test_the_effective_batch_is_kept(room, after):
    """Tolerance 1e-12 in float64: the only difference is the order of sums. The noise of the loss is that of the whole batch."""
    narrow, wide = Narrow(room=room, after=after).fit(X, steps=40, **HOW), Line().fit(X, steps=40, **HOW)
    assert close(wide, narrow)
    told = [text for text in said(narrow) if "Out of memory" in text]
    assert len(told) == {63: 1, 20: 2, 3: 5}[room] and f"back to step {after // 20 * 20}" in told[0]
    assert f"is taken in {2 ** len(told)} parts" in told[-1]


def test_a_gpu_that_torch_does_not_see_is_said_once(monkeypatch):
    monkeypatch.setattr(memory, "why_not_gpu", lambda: "the driver is too old")
    said = [entry.get("said", "") for entry in Line().fit(X, steps=3, quiet=True).history_]
    assert said.count("No GPU: the driver is too old. Going on on the CPU.") == 1
    assert not any("No GPU" in e.get("said", "") for e in Line().fit(X, steps=3, quiet=True, device="cpu").history_)


def test_a_game_is_taken_back_whole_and_played_side_by_side():
    """The first player had stepped when memory ran out; nothing of that step stays."""
    assert close(Duel().fit(X, steps=30, **HOW), Duel(room=20).fit(X, steps=30, **HOW), 1e-11)


def test_the_parts_are_remembered_in_resume(tmp_path):
    stop = [lambda moment: moment.step == 11]
    Narrow().fit(X, steps=30, out=tmp_path / "m.pf", callbacks=stop, **HOW)
    again = Narrow().fit(X, steps=30, out=tmp_path / "m.pf", resume=True, **HOW)
    assert not any("Out of memory" in text for text in said(again))
    whole = Narrow().fit(X, steps=30, **HOW)
    assert all(torch.equal(a, again.state_dict()[name]) for name, a in whole.state_dict().items())


def test_not_even_one_example_is_an_error_that_says_what_to_do():
    with pytest.raises(
        OutOfMemory, match=r"Out of memory at step 0 with 1 example.*CUDA out of memory.*smaller batch= or model"
    ):
        Narrow(room=0).fit(X, steps=5, **HOW)


def test_several_processes_say_which_setting_helps():
    class Run:
        """As much of a run as that sentence needs."""

        step, parts, recipe = 3, 1, Line.recipe
        machine = type("machine", (), {"world": 2})

    from pushforward.engine.loop import Run as Real

    with pytest.raises(OutOfMemory, match=r"on a process .* or accumulate=2 to take each batch in parts"):
        Real.smaller(Run(), 64, "CUDA out of memory.")


def test_another_error_is_not_taken_for_this_one():
    class Broken(Line):
        """Does not fit together."""

        def loss(self, x, given=None):
            raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="mat1"):
        Broken().fit(X, steps=3, **HOW)
    with pytest.raises(RuntimeError, match="mat1"):
        lots(lambda start, stop: Broken().loss(None), 3, 2)


def test_a_recipe_in_parts_is_the_whole_batch():
    whole = Line().fit(X, steps=20, **HOW)
    for count in (2, 3, 64, 1000):
        assert close(whole, Line().fit(X, steps=20, accumulate=count, **HOW)), count


@pytest.mark.parametrize(("room", "taken"), [(100, [70, 30]), (40, [35, 35, 30]), (9, [9] * 11 + [1])])
def test_lots_are_halved_and_none_is_left_out(room, taken):
    seen = []

    def one(start, stop):
        if stop - start > room:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        seen.extend(range(start, stop))
        return stop - start

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        assert lots(one, 100, 70) == taken
    assert seen == list(range(100)) and len(told) == (room < 70)


def test_doors_take_fewer_rows_and_return_the_same():
    model = Line().fit(X, steps=5, **HOW)
    drawn, nats = model.sample(300, seed=3), model.log_prob(X)

    def narrow(inner, room=70):
        def one(first, *more):
            if (first if isinstance(first, int) else len(first)) > room:
                raise torch.OutOfMemoryError("CUDA out of memory.")
            return inner(first, *more)

        return one

    model._sample, model._log_prob = narrow(model._sample), narrow(model._log_prob)
    with pytest.warns(UserWarning, match="300 examples at a time: 38 at a time"):
        assert np.allclose(model.sample(300, seed=3), drawn, atol=1e-12)
    with pytest.warns(UserWarning, match="at a time were taken"):
        assert np.allclose(model.log_prob(X), nats, atol=1e-12)


def test_lots_of_one_row_that_do_not_fit():
    def never(start, stop):
        raise RuntimeError("MPS backend out of memory (MPS allocated: 5 GB).")

    with pytest.raises(OutOfMemory, match="one example at a time.*MPS backend"):
        lots(never, 10, 8)
    assert lots(never, 0, 8) == []


def test_parts_are_even_and_whole():
    for rows in (1, 2, 7, 64):
        for count in (1, 2, 3, 64, 200):
            cut = parts(rows, count)
            sizes = [part.stop - part.start for part in cut]
            assert cut[0].start == 0 and cut[-1].stop == rows and sum(sizes) == rows
            assert min(sizes) >= 1 and max(sizes) - min(sizes) <= 1 and len(cut) == min(rows, count)


def test_errors_of_all_devices_are_known():
    assert ran_out(MemoryError()) and ran_out(
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried")
    )
    assert ran_out(RuntimeError("HIP out of memory.")) and not ran_out(ValueError("out of memory"))


def test_why_there_is_no_gpu_is_said_only_where_one_seems_to_be(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(memory, "DRIVERS", (str(tmp_path / "none"),))
    assert why_not_gpu() == ""
    monkeypatch.setattr(memory, "DRIVERS", (str(tmp_path),))
    monkeypatch.setattr(torch.version, "cuda", None)
    assert "built without" in why_not_gpu()
    monkeypatch.setattr(torch.version, "cuda", "12.4")

    def old():
        raise RuntimeError("The NVIDIA driver on your system is too old (found version 11040).\nPlease update.")

    monkeypatch.setattr(torch.cuda, "init", old)
    assert why_not_gpu() == "The NVIDIA driver on your system is too old (found version 11040)."
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert why_not_gpu() == ""


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_a_real_gpu_that_is_full():
    """Most of the memory is taken; the rest holds a part of the batch, not the whole."""

    class Hungry(Line):
        """Needs 4 MiB of memory an example."""

        def loss(self, x, given=None):
            heap = (x[:, :1] * torch.ones(1, 1 << 20, device=x.device, requires_grad=True)).sin().exp()
            return super().loss(x, given) + 0.0 * heap.mean()

    free = torch.cuda.mem_get_info()[0]
    taken = torch.empty(int(free - 1.5 * 2**30), dtype=torch.uint8, device="cuda")
    try:
        model = Hungry().fit(X, steps=6, **(HOW | {"batch": 256, "precision": "float32"}))
    finally:
        del taken
        memory.release()
    assert any("Out of memory" in text for text in said(model))
    wide = Line().fit(X, steps=6, **(HOW | {"batch": 256, "precision": "float32"}))
    assert close(wide, model, 1e-4)
