"""The one training loop.

A model is anything with `turn(x, given)`, which yields (player, loss) and expects that player to have stepped when it goes on,
`judge(x, given)`, nats of held-out examples (or None), and `players`, the names of the parts with an optimiser of their own.
Examples are anything with `len`, `take(indices)` and `order(seed, epoch)`.

The batch and the noise of step t are functions of (seed, t), so a resumed run repeats an uninterrupted one bit for bit.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from .. import noise
from ..errors import Diverged
from . import checkpoint
from .journal import Journal
from .machine import Machine, full, like
from .recipe import Recipe
from .signals import Signals
from .stepping import Swapped, optimizer, schedule

NOTE = 20  # steps between entries of the journal, and between looks at whether the loss is finite
READING = 1 << 20  # which noise the reading of examples has
TRIES = 3  # times a run goes back before it gives up


@dataclass
class Moment:
    """What a callback sees. Returning True from a callback ends the training."""

    model: Any
    step: int
    event: str  # step, validation, end
    numbers: dict[str, Any] = field(default_factory=dict)


@dataclass
class Outcome:
    """How a run ended."""

    step: int
    seconds: float
    reason: str  # steps, time, patience, callback, interrupted, terminated
    best: float | None  # nats of the best validation
    best_step: int


def play(
    model: Any,
    examples: Any,
    recipe: Recipe,
    machine: Machine,
    journal: Journal,
    valid: Any = None,
    folder: Path | None = None,
    resume: bool = False,
    callbacks: Sequence[Callable[[Moment], Any]] = (),
) -> Outcome:
    """Train `model` on `examples` as `recipe` says."""
    run = Run(model, examples, recipe, machine, journal, valid, folder, tuple(callbacks))
    if resume:
        run.resume()
    machine.place(model)
    run.prepare()
    journal.open(type(model).__name__, run.total)
    guard = torch._dynamo.config.patch(suppress_errors=True) if recipe.compile else nullcontext()
    with Signals() as signals, noise.initialisation(recipe.seed), guard:
        model.train()
        try:
            reason = run.go(signals)
        finally:
            model.eval()
    run.finish(reason)
    return Outcome(run.step, time.monotonic() - run.began, reason, run.best, run.best_step)


class Run:
    """The state of one training."""

    def __init__(self, model, examples, recipe, machine, journal, valid, folder, callbacks):
        self.model, self.examples, self.recipe, self.machine, self.journal = model, examples, recipe, machine, journal
        self.valid, self.folder, self.callbacks = valid, folder, callbacks
        self.step, self.best, self.best_step, self.waited = 0, None, 0, 0
        self.slower, self.failures = 1.0, 0  # what divergence did to the learning rate, and how often
        self.spent = 0.0  # seconds of earlier parts of this run
        self.began = self.kept = time.monotonic()
        self.batch = max(machine.world, min(recipe.batch, len(examples)) // machine.world * machine.world)
        self.total = recipe.total(len(examples))
        self.every = recipe.every or max(50, round(len(examples) / self.batch))
        self.stored: tuple[dict, dict] | None = None
        self.epoch, self.permutation = -1, None

    # ---- before the first step -----------------------------------------------------------------------------------
    def resume(self) -> None:
        self.stored = checkpoint.newest(self.folder / "checkpoints") if self.folder else None
        if self.stored is None:
            self.journal.say("There is no checkpoint to go on from: starting from the beginning.")
            return
        tensors, state = self.stored
        checkpoint.pour(tensors, {**self.model.state_dict(keep_vars=True), **self.training_buffers()})
        for name in ("step", "best", "best_step", "waited", "slower", "failures", "spent"):
            setattr(self, name, state[name])
        self.journal.say(f"Going on from step {self.step}.")

    def prepare(self) -> None:
        names = self.model.players or ("model",)
        parts = {name: self.model if name == "model" else getattr(self.model, name) for name in names}
        self.weights = {name: [p for p in part.parameters() if p.requires_grad] for name, part in parts.items()}
        self.optimizers = {name: optimizer(self.recipe, weights) for name, weights in self.weights.items()}
        self.all_weights = [p for weights in self.weights.values() for p in weights]
        self.average = [p.detach().clone() for p in self.all_weights] if self.recipe.ema else None
        self.winner: list[Tensor] | None = None
        if self.stored:
            tensors = self.stored[0]
            for name, opt in self.optimizers.items():
                checkpoint.unflatten(opt, f"optim.{name}", tensors)
                for weight, entry in opt.state.items():
                    entry.update(
                        {
                            k: like(v, weight)
                            for k, v in entry.items()
                            if isinstance(v, Tensor) and v.shape == weight.shape
                        }
                    )
            for kind in ("average", "winner"):
                if f"{kind}.0" in tensors:
                    setattr(self, kind, [like(tensors[f"{kind}.{i}"], t) for i, t in enumerate(self.keepsakes(kind))])
            self.stored = None
        if self.recipe.compile:
            for child in self.model.children():
                if any(True for _ in child.parameters()):
                    child.compile()
        self.good = self.snapshot()

    def keepsakes(self, kind: str) -> list[Tensor]:
        return self.all_weights if kind == "average" else self.solid()

    def solid(self) -> list[Tensor]:
        """Weights and persistent buffers: what the best model consists of."""
        return list(self.model.state_dict(keep_vars=True).values())

    def training_buffers(self) -> dict[str, Tensor]:
        """State that only training needs (chains, running means): buffers that the saved weights leave out."""
        kept = set(self.model.state_dict())
        return {name: b for name, b in self.model.named_buffers() if name not in kept}

    # ---- the loop ------------------------------------------------------------------------------------------------
    def go(self, signals: Signals) -> str:
        loss_sum: Tensor | float = 0.0
        since = 0
        while self.step < self.total:
            loss_sum = loss_sum + self.one_step()
            self.step, since = self.step + 1, since + 1
            if (reason := self.tell(Moment(self.model, self.step, "step"))) != "":
                return reason
            judged = self.step % self.every == 0 or self.step == self.total
            if since == NOTE or judged:
                mean = self.machine.agree(float(loss_sum) / since)
                loss_sum, since = 0.0, 0
                if not math.isfinite(mean):
                    self.back()
                    continue
                self.journal.note(self.step, loss=mean, **self.details())
                reason = self.validation() if judged else ""
                if (
                    self.machine.world > 1
                    and self.machine.agree(float(bool(signals.said) or self.elapsed() > self.recipe.seconds)) > 0
                ):
                    return reason or signals.said or "time"
                if reason:
                    return reason
                self.checkpoint_if_due()
            if self.machine.world == 1:
                if signals.said:
                    return signals.said
                if self.elapsed() > self.recipe.seconds:
                    return "time"
        return "steps"

    def one_step(self) -> Tensor | float:
        """One turn of the game; the sum of its losses, still on the device."""
        recipe, model, machine = self.recipe, self.model, self.machine
        rank_batch = self.batch // machine.world
        start = machine.rank * rank_batch
        with noise.stream(
            noise.mix(recipe.seed, READING), self.step, start
        ):  # for examples that are drawn anew each time
            x, given = self.examples.take(self.indices())
        x, given = (
            x.to(machine.device, non_blocking=True),
            None if given is None else given.to(machine.device, non_blocking=True),
        )
        progress = self.step / max(self.total, 1)
        if math.isfinite(recipe.seconds):
            progress = max(progress, self.elapsed() / recipe.seconds)
        model.step, model.progress = self.step, min(progress, 1.0)
        rate = recipe.lr * self.slower * schedule(recipe, self.step, model.progress)
        noise.seed_dropout(noise.mix(recipe.seed, self.step, machine.rank))
        total: Tensor | float = 0.0
        for part in range(recipe.accumulate if not model.players else 1):
            share = slice(None) if recipe.accumulate == 1 or model.players else slice(part, None, recipe.accumulate)
            xs, gs = x[share], None if given is None else given[share]
            with noise.stream(noise.mix(recipe.seed, part), self.step, start, machine.device, machine.dtype):
                found = self.turns(xs, gs, rate, len(xs) / len(x), part == recipe.accumulate - 1 or bool(model.players))
                total = found if recipe.accumulate == 1 else total + found
        if self.average is not None:
            warm = min(recipe.ema, (1 + self.step) / (10 + self.step))
            torch._foreach_lerp_(self.average, [p.detach() for p in self.all_weights], 1 - warm)
        return total

    def turns(self, x: Tensor, given: Tensor | None, rate: float, share: float, step_now: bool) -> Tensor | float:
        game = self.model.turn(x, given)
        total: Tensor | float = 0.0
        while True:
            with self.machine.context():
                move = next(game, None)
            if move is None:
                return total
            player, loss = move
            weights = self.weights[player]
            if loss.requires_grad:
                (loss * share if share < 1 else loss).backward(inputs=weights if self.model.players else None)
            if step_now:
                self.update(player, weights, rate)
            told = loss.detach() if share == 1 else loss.detach() * share
            total = told if isinstance(total, float) else total + told

    def update(self, player: str, weights: list[nn.Parameter], rate: float) -> None:
        self.machine.average(weights)
        if self.recipe.clip:
            nn.utils.clip_grad_norm_(weights, self.recipe.clip, foreach=True)
        opt = self.optimizers[player]
        for group in opt.param_groups:
            group["lr"] = rate
        opt.step()
        for weight in weights:  # opt.zero_grad does it by way of a profiler's and a compiler's hooks
            weight.grad = None

    def indices(self) -> Tensor:
        """The examples of this step: a window on the endless sequence of shuffled epochs, this process's part of it."""
        n, size = len(self.examples), self.batch // self.machine.world
        start = self.step * self.batch + self.machine.rank * size
        epoch, offset = divmod(start, n)
        chunk = self.ordered(epoch)[offset : offset + size]
        if len(chunk) < size:
            chunk = torch.cat([chunk, self.examples.order(noise.mix(self.recipe.seed), epoch + 1)[: size - len(chunk)]])
        return chunk

    def ordered(self, epoch: int) -> Tensor:
        if epoch != self.epoch or self.permutation is None:
            self.epoch, self.permutation = epoch, self.examples.order(noise.mix(self.recipe.seed), epoch)
        return self.permutation

    def elapsed(self) -> float:
        return self.spent + time.monotonic() - self.began

    def details(self) -> dict[str, float]:
        """Numbers that a model wants told beside its loss (a bound's two terms, a critic's gap)."""
        return {name: float(value) for name, value in getattr(self.model, "notes", {}).items()}

    # ---- judging -------------------------------------------------------------------------------------------------
    def validation(self) -> str:
        """Nats of the held-out examples; keeps the best model; says whether patience is over."""
        nats = self.judged()
        self.good = self.snapshot()
        if nats is None:
            return ""
        self.journal.note(self.step, valid=nats, **self.model.units(nats))
        if self.best is None or nats < self.best - 1e-9:
            self.best, self.best_step, self.waited = nats, self.step, 0
            with self.averaged():
                self.winner = [t.detach().clone() for t in self.solid()]
        else:
            self.waited += 1
        if self.recipe.patience and self.waited >= self.recipe.patience:
            return "patience"
        return self.tell(Moment(self.model, self.step, "validation", {"valid": nats}))

    @torch.no_grad()
    def judged(self) -> float | None:
        """Mean negative log-likelihood (or bound) of the validation examples, with the same noise every time."""
        if self.valid is None or len(self.valid) == 0:
            return None
        size, total, count = max(self.batch, 500), 0.0, 0
        self.model.eval()
        with self.averaged():
            for start in range(0, len(self.valid), size):
                with noise.stream(noise.mix(self.recipe.seed, READING), 0, start):
                    x, given = self.valid.take(torch.arange(start, min(start + size, len(self.valid))))
                x, given = x.to(self.machine.device), None if given is None else given.to(self.machine.device)
                with noise.stream(self.recipe.seed, 1 << 40, start, self.machine.device, self.machine.dtype):
                    nats = self.model.judge(x, given)
                if nats is None:
                    self.model.train()
                    return None
                total, count = total + float(nats.double().sum()), count + len(x)
        self.model.train()
        return -total / count

    def averaged(self) -> Any:
        return Swapped(self.all_weights, self.average) if self.average is not None else nullcontext()

    def tell(self, moment: Moment) -> str:
        ends = [callback(moment) for callback in self.callbacks]
        return "callback" if any(end is True for end in ends) else ""

    # ---- keeping and going back ----------------------------------------------------------------------------------
    def snapshot(self) -> dict[str, Any]:
        """A copy of all that a step changes."""
        with torch.no_grad():
            return {
                "step": self.step,
                "model": [t.detach().clone() for t in [*self.solid(), *self.training_buffers().values()]],
                "average": None if self.average is None else [t.clone() for t in self.average],
                "optim": {
                    name: {
                        p: {k: v.clone() if isinstance(v, Tensor) else v for k, v in s.items()}
                        for p, s in opt.state.items()
                    }
                    for name, opt in self.optimizers.items()
                },
            }

    def back(self) -> None:
        """Return to the last good state with half the learning rate; give up after a few times."""
        self.restore(self.good)
        self.failures += 1
        self.slower /= 2
        if self.failures > TRIES:
            raise Diverged(
                f"{type(self.model).__name__} diverged at step {self.step}: the loss was not finite {self.failures} times, although the learning "
                f"rate was halved to {self.recipe.lr * self.slower:.2g}. The model stands at its last good state. Try lr={self.recipe.lr / 10:.1g}, "
                "clip=1.0, or look for extreme values in the data."
            )
        self.journal.say(
            f"The loss was not finite: back to step {self.step} with learning rate {self.recipe.lr * self.slower:.2g}."
        )
        self.good = self.snapshot()

    @torch.no_grad()
    def restore(self, good: dict[str, Any]) -> None:
        self.step = good["step"]
        for tensor, kept in zip([*self.solid(), *self.training_buffers().values()], good["model"], strict=True):
            tensor.copy_(kept)
        if self.average is not None:
            for tensor, kept in zip(self.average, good["average"], strict=True):
                tensor.copy_(kept)
        for name, opt in self.optimizers.items():
            opt.state.clear()
            opt.state.update(good["optim"][name])
            opt.zero_grad(set_to_none=True)

    def checkpoint_if_due(self) -> None:
        due = self.machine.agree(float(time.monotonic() - self.kept > self.recipe.keep)) > 0
        if self.folder and due:
            self.checkpoint()

    def checkpoint(self) -> None:
        tensors = {f"model.{n}": full(t) for n, t in {**self.model.state_dict(), **self.training_buffers()}.items()}
        for name, opt in self.optimizers.items():
            tensors |= {key: full(t) for key, t in checkpoint.flatten(opt, f"optim.{name}").items()}
        for kind in ("average", "winner"):
            tensors |= {f"{kind}.{i}": full(t) for i, t in enumerate(getattr(self, kind) or ())}
        names = ("step", "best", "best_step", "waited", "slower", "failures")
        state = {name: getattr(self, name) for name in names} | {
            "spent": self.elapsed(),
            "world": self.machine.world,
            "threads": torch.get_num_threads(),
        }
        if self.machine.rank == 0:
            try:
                checkpoint.write(self.folder / "checkpoints", self.step, tensors, state)
            except OSError as problem:
                self.journal.say(
                    f"The checkpoint of step {self.step} could not be written ({problem}); the one before stands. Going on."
                )
        self.kept = time.monotonic()
        self.machine.meet()

    # ---- after the last step -------------------------------------------------------------------------------------
    @torch.no_grad()
    def finish(self, reason: str) -> None:
        """Leave the model at its best: the best validation, else the averaged weights, else the last step."""
        if not all(bool(torch.isfinite(w).all()) for w in self.all_weights):
            self.restore(self.good)
        if self.folder:
            self.checkpoint()
        if self.winner is not None and reason != "patience" and self.step % self.every:
            self.validation()  # a last look, after the checkpoint: a run that goes on from there does not have it
        if self.winner is not None:
            for tensor, kept in zip(self.solid(), self.winner, strict=True):
                tensor.copy_(kept)
        elif self.average is not None:
            for tensor, kept in zip(self.all_weights, self.average, strict=True):
                tensor.copy_(kept)
        self.tell(Moment(self.model, self.step, "end", {"reason": reason}))
        if reason == "terminated":
            self.journal.close()
            raise SystemExit(143)
