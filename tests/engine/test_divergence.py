"""Rigged runs: a loss or gradient that is not finite once, often, for ever; weights that overflow; what the journal says, and where the model is left."""

import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from pushforward.engine.guard import SKIPS, Window, not_finite, sound
from pushforward.errors import Diverged

sys.path.insert(0, str(Path(__file__).parent))
from lines import Line, Trap

X = np.random.default_rng(0).normal(2.0, 3.0, size=(200, 3))
HOW = dict(quiet=True, every=20, batch=32, seed=4)


class Rigged(Line):
    """Goes wrong in one way at given steps, the same however often it is asked."""

    steps: tuple[int, ...] = (30,)  # where
    way: str = "loss"  # loss, gradient, weight, buffer

    def build(self, space, given=None):
        super().build(space, given)
        self.idle = nn.Parameter(torch.zeros(2))  # a weight that no loss depends on
        self.register_buffer("mood", torch.zeros(()))

    def loss(self, x, given=None):
        loss = super().loss(x, given)
        loss = loss if self.way == "weight" else loss + 0.0 * self.idle.sum()
        if self.training and self.step in self.steps:
            if self.way == "loss":
                return loss * math.nan
            if self.way == "gradient":
                return loss + Spike.apply(self.idle).sum()
            with torch.no_grad():
                (self.idle if self.way == "weight" else self.mood).fill_(math.inf)
            if self.way == "buffer":
                return loss * math.nan
        return loss


class Spike(torch.autograd.Function):
    """Zero, with an infinite gradient."""

    @staticmethod
    def forward(ctx, x):
        return x * 0.0

    @staticmethod
    def backward(ctx, grad):
        return torch.full_like(grad, math.inf)


def said(model):
    return [entry["said"] for entry in model.history_ if "said" in entry]


def weights(model):
    return {name: t.clone() for name, t in model.state_dict().items()}


def same(a, b):
    return all(torch.equal(t, b[name]) for name, t in a.items())


def finite(model):
    return all(bool(torch.isfinite(t).all()) for t in model.state_dict().values())


@pytest.mark.parametrize("way", ["loss", "gradient"])
@pytest.mark.parametrize("changes", [{}, {"clip": 1.0}, {"optimizer": "rmsprop"}, {"accumulate": 2}, {"ema": 0.9}])
def test_one_bad_step_is_passed_over_and_said(way, changes):
    model = Rigged(way=way).fit(X, steps=60, **HOW, **changes)
    assert finite(model) and np.isfinite(model.score(X))
    assert len(said(model)) == 1 and "1 step had" in said(model)[0] and "step 40" in said(model)[0]
    assert all(math.isfinite(e["loss"]) for e in model.history_ if "loss" in e)


def test_a_step_passed_over_moves_no_weight():
    """Step 9, passed over, leaves what 9 steps left; the optimiser has not counted it either."""
    kept = {}

    def look(moment):
        kept[moment.step] = weights(moment.model)

    for optimizer in ("adam", "sgd", "rmsprop", "adamw"):
        Rigged(steps=(9,), way="gradient").fit(X, steps=12, optimizer=optimizer, callbacks=[look], **HOW)
        assert same(kept[9], kept[10]) and not same(kept[10], kept[11]), optimizer


def test_an_infinite_gradient_of_a_weight_that_no_loss_shows_reaches_it_never():
    """The loss stays finite all along: only a look at the gradient can see it."""
    model = Rigged(way="gradient", steps=(3, 33, 59)).fit(X, steps=60, **HOW)
    assert torch.equal(model.idle, torch.zeros(2)) and len(said(model)) == 3


@pytest.mark.parametrize("way", ["loss", "gradient", "buffer"])
def test_more_than_a_few_go_back_with_half_the_rate(way):
    bad = tuple(range(42, 42 + SKIPS + 1))
    model = Rigged(way=way, steps=bad)
    with pytest.raises(Diverged, match=r"at step \d+: .*for the 4th time.*was halved to .*step 40\. Try lr="):
        model.fit(X, steps=100, **HOW)
    assert finite(model) and np.isfinite(model.score(X))


def test_what_goes_wrong_for_a_while_is_got_over(tmp_path):
    """Twice back, each with half the rate, and then on; the journal's file tells the same."""

    class Passing(Rigged):
        """Thirty steps of trouble."""

        def loss(self, x, given=None):
            self.__dict__["turns"] = self.__dict__.get("turns", 0) + 1
            loss = super().loss(x, given)
            return loss * math.nan if 50 <= self.__dict__["turns"] < 80 else loss

    model = Passing(steps=()).fit(X, steps=200, out=tmp_path / "m.pf", lr=0.01, **HOW)
    back = [text for text in said(model) if "back to step" in text]
    assert len(back) == 2 and "learning rate 0.005" in back[0] and "learning rate 0.0025" in back[1]
    assert "(the loss was " in back[0] and finite(model)
    lines = [json.loads(line) for line in (tmp_path / "m.pf" / "journal.jsonl").read_text().splitlines()]
    assert [e["said"] for e in lines if "said" in e][:2] == back


def test_a_weight_that_is_not_finite_at_a_validation_goes_back():
    """Its gradient is finite and the loss does not show it; nothing but a look at the weights can."""
    model = Rigged(way="weight", steps=(30,))
    with pytest.raises(Diverged, match="the loss or a weight was not finite"):
        model.fit(X, steps=60, **HOW)
    assert finite(model)


def test_a_weight_that_is_not_finite_at_the_end_is_undone_and_said():
    def stop(moment):
        if moment.event == "step" and moment.step == 33:
            with torch.no_grad():
                moment.model.idle.fill_(math.nan)
            return True

    model = Rigged(steps=()).fit(X, steps=60, valid=0, callbacks=[stop], **HOW)
    assert finite(model) and any("the model is that of step 20" in text for text in said(model))


def test_a_loss_that_explodes_ends_in_diverged_at_a_state_that_can_be_used():
    model = Line()
    with pytest.raises(Diverged, match=r"Line diverged at step"):
        model.fit(X, steps=400, lr=1e30, optimizer="sgd", **HOW)
    assert all(bool(torch.isfinite(p).all()) for p in model.parameters())
    assert np.isfinite(model.log_prob(X)).all()


def sprung(trap, times):
    """A trap that has had its effect so often."""
    trap.__dict__["sprung"] = times
    return trap


@pytest.mark.parametrize(("stop", "left"), [(30, 5), (41, 5), (70, 0)])
def test_resume_is_bit_exact_across_trouble(tmp_path, stop, left):
    """Five bad steps from 42 on lead back to 40; a stop before them, or long after them, changes no bit."""
    whole = Trap(at=42, times=5).fit(X, steps=90, **HOW)
    assert any("back to step 40" in text for text in said(whole))
    first = Trap(at=42, times=5)
    first.fit(X, steps=90, out=tmp_path / "m.pf", callbacks=[lambda m: m.step == stop], **HOW)
    again = sprung(Trap(at=42, times=5), 5 - left).fit(X, steps=90, out=tmp_path / "m.pf", resume=True, **HOW)
    assert same(weights(whole), weights(again)) == (
        stop != 41
    )  # a run that was resumed can go back to there, and no further
    assert finite(again)


def test_the_count_of_steps_passed_over_is_in_the_checkpoint(tmp_path):
    """Two bad steps before a stop and two after it are four of one window: back, as without the stop."""
    Trap(at=42, times=4).fit(X, steps=90, out=tmp_path / "m.pf", callbacks=[lambda m: m.step == 44], **HOW)
    again = sprung(Trap(at=42, times=4), 2).fit(X, steps=90, out=tmp_path / "m.pf", resume=True, **HOW)
    assert any("4 of the last steps" in text and "back to step 44" in text for text in said(again))


def test_a_window_counts_only_what_is_finite():
    window = Window(1)
    for loss, missed in ((1.0, 0.0), (torch.tensor(math.inf), 1.0), (torch.tensor(5.0), torch.tensor(0.0))):
        window.add(loss, missed)
    assert window.mean == 3.0 and window.passed_over == 2
    assert math.isnan(Window().mean)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_not_finite_sees_one_number_among_many_and_changes_none(dtype):
    grads = [torch.randn(50, 7, dtype=dtype), torch.randn(3, dtype=dtype)]
    before = [g.clone() for g in grads]
    assert float(not_finite(1.0, grads)) == 0.0 and all(torch.equal(a, b) for a, b in zip(grads, before, strict=True))
    assert float(not_finite(torch.tensor(math.nan), grads)) == 1.0
    for wrong in (math.nan, math.inf, -math.inf):
        grads[0][49, 6] = wrong
        assert float(not_finite(1.0, grads)) == 1.0
    assert float(not_finite(0.0, [])) == 0.0


def test_what_was_never_finite_is_no_trouble():
    assert sound([torch.tensor([math.inf])], [torch.tensor([-math.inf])])
    assert not sound([torch.tensor([math.inf])], [torch.tensor([1.0])])


def test_the_kernel_that_looks_for_itself_passes_over_too():
    """What a GPU does: the optimiser is handed the number and nobody waits for it. The CPU's fused kernels take it as well."""
    for kind in (torch.optim.Adam, torch.optim.AdamW, torch.optim.SGD):
        weight = nn.Parameter(torch.ones(5))
        weight.grad = torch.full((5,), math.inf)
        opt = kind([weight], lr=0.1, fused=True)
        opt.grad_scale, opt.found_inf = None, torch.ones(())
        opt.step()
        assert torch.equal(weight, torch.ones(5)), kind
        opt.found_inf, weight.grad = torch.zeros(()), torch.ones(5)
        opt.step()
        assert not torch.equal(weight, torch.ones(5)) and bool(torch.isfinite(weight).all())


class Rare(Line):
    """Steps of which the loss is not a number."""

    bad: tuple[int, ...] = (20, 41)

    def loss(self, x, given=None):
        return super().loss(x, given) * (math.nan if self.training and self.step in self.bad else 1.0)


@pytest.mark.parametrize("every", [1, 21])
def test_a_bad_step_now_and_then_costs_nothing_however_often_a_validation_looks(every):
    """Steps that are passed over are counted over NOTE steps, not over the one or two between two looks."""
    model = Rare().fit(X, steps=45, patience=0, **HOW | {"every": every})
    assert len(said(model)) == 2 and all("1 step had" in text for text in said(model))
    assert all(math.isfinite(e["loss"]) for e in model.history_ if "loss" in e)


def test_more_than_a_few_between_many_looks_go_back():
    model = Rare(bad=tuple(range(30, 40, 2))).fit(X, steps=60, **HOW | {"every": 1})
    assert "4 of the last steps" in said(model)[0] and "back to step 36" in said(model)[0]


def test_a_run_of_which_no_step_moved_a_weight_is_none():
    with pytest.raises(Diverged, match="at step 2"):
        Rare(bad=(0, 1)).fit(X, steps=2, **HOW)


@pytest.mark.parametrize("optimizer", ["adam", "rmsprop"])
def test_a_gradient_whose_square_is_infinite_does_not_stop_a_weight_for_ever(optimizer):
    """It is finite, and so is the loss; but the optimiser would divide by infinity from then on, and nobody would hear of it."""

    class Spiky(Line):
        """One gradient of 1e25, when asked for the first time."""

        def loss(self, x, given=None):
            loss = super().loss(x, given)
            if self.step == 30 and not self.__dict__.get("sprung"):
                self.__dict__["sprung"] = True
                loss = loss + 1e25 * (self.mean - self.mean.detach()).sum()
            return loss

    model = Spiky().fit(X, steps=60, optimizer=optimizer, **HOW)
    assert "one of its moments in the optimiser" in said(model)[0] and "back to step 20" in said(model)[0]


class Edge(Line):
    """A held-out example that it cannot reach, until a step."""

    value: float = math.nan
    until: int = 10**9

    def judge(self, x, given):
        nats = super().judge(x, given)
        return nats.fill_(-self.value) if self.step < self.until else nats


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_validation_that_is_no_number_is_neither_the_best_nor_the_end(tmp_path, value):
    how = HOW | {"patience": 3, "every": 10, "valid": 0.2}
    never = Edge(value=value).fit(X, steps=100, out=tmp_path / "m.pf", **how)
    assert never.outcome_["reason"] == "steps" and never.outcome_["best"] is None
    assert sum("held-out examples have" in text for text in said(never)) == 1
    again = Edge(value=value).fit(X, steps=120, out=tmp_path / "m.pf", resume=True, **how)  # its checkpoint can be read
    assert again.outcome_["step"] == 120
    once = Edge(value=value, until=20).fit(X, steps=100, **how | {"lr": 0.01})
    assert once.outcome_["best_step"] >= 20 and math.isfinite(once.outcome_["best"])
