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
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from .. import noise
from ..errors import Diverged
from . import memory
from .guard import SKIPS, Window, not_finite, sound, whole
from .journal import Journal
from .keeping import Keeping
from .machine import Machine, local
from .recipe import Recipe
from .rows import Rows, evenly
from .signals import Signals, Terminated
from .stepping import Swapped, optimizer, schedule

NOTE = 20  # steps between entries of the journal, and between looks at what was not finite
READING = 1 << 20  # which noise the reading of examples has
TRIES = 3  # times a run goes back before it gives up
LOOK = 1.0  # seconds, about, between the looks of several processes at what one of them was told
REASONS = ("", "time", "callback", "patience", "interrupted", "terminated")  # of stopping; the last one heard wins


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
    with machine.heard():
        run.agree()
        if resume:
            run.resume()
        machine.place(model)
        run.prepare()
        journal.open(type(model).__name__, run.total, max(recipe.seconds - run.spent, 1e-3))
        if machine.asked == "auto" and machine.device.type == "cpu" and (why := memory.why_not_gpu()):
            journal.say(f"No GPU: {why}. Going on on the CPU.")
        guard = torch._dynamo.config.patch(suppress_errors=True) if recipe.compile else nullcontext()
        with Signals(machine.world) as signals:
            try:
                with noise.initialisation(recipe.seed), guard:
                    model.train()
                    reason = run.go(signals)
                run.finish(reason)
            except KeyboardInterrupt:
                run.restore(run.good)  # a step, or the keeping, that was cut in two is undone
                raise
            finally:
                model.eval()
        reason = run.heard(signals.said) or reason  # a signal that came while the rest was kept
    if reason == "terminated":
        journal.close()
        raise Terminated
    return Outcome(run.step, time.monotonic() - run.began, reason, run.best, run.best_step)


class Run(Keeping):
    """The state of one training."""

    def __init__(self, model, examples, recipe, machine, journal, valid, folder, callbacks):
        self.model, self.examples, self.recipe, self.machine, self.journal = model, examples, recipe, machine, journal
        self.valid, self.folder, self.callbacks = valid, folder, callbacks
        self.step, self.best, self.best_step, self.waited = 0, None, 0, 0
        self.slower, self.failures = 1.0, 0  # what divergence did to the learning rate, and how often
        self.parts = 1  # that a batch is cut into
        self.window, self.missed = Window(), 0.0  # the steps since the last look, and this one
        self.latest, self.doubted = math.nan, False  # loss of the last look; whether a validation was no number
        self.spent = 0.0  # seconds of earlier parts of this run
        self.began = self.kept = time.monotonic()
        self.batch = evenly(min(recipe.batch, len(examples)), machine.world, journal.say)
        self.total = replace(recipe, batch=self.batch).total(len(examples))
        self.every = recipe.every or max(50, round(len(examples) / self.batch))
        self.stored, self.average, self.winner = None, None, None
        self.rows = Rows(examples, recipe.seed, self.batch, machine.rank, machine.world)
        self.asked, self.look, self.told, self.pace = "", 0, (0, 0.0), 0.0

    # ---- before the first step -----------------------------------------------------------------------------------
    def prepare(self) -> None:
        names = self.model.players or ("model",)
        parts = {name: self.model if name == "model" else getattr(self.model, name) for name in names}
        self.weights = {name: [p for p in part.parameters() if p.requires_grad] for name, part in parts.items()}
        self.optimizers = {name: optimizer(self.recipe, weights) for name, weights in self.weights.items()}
        self.all_weights = [p for weights in self.weights.values() for p in weights]
        self.take_up()
        self.before = [t.detach().clone() for t in self.model.buffers()] if self.machine.world > 1 else []
        if self.recipe.compile:
            for child in self.model.children():
                if any(True for _ in child.parameters()):
                    child.compile()
        self.told = self.step, self.machine.most(self.elapsed())[0]
        self.remember()

    # ---- the loop ------------------------------------------------------------------------------------------------
    def go(self, signals: Signals) -> str:
        while self.step < self.total:
            if (loss := self.one_step()) is None:  # memory ran out, and the run went back
                continue
            self.window.add(loss, self.missed)
            self.step += 1
            self.asked = self.tell(Moment(self.model, self.step, "step")) or self.asked
            judged = self.step % self.every == 0 or self.step == self.total
            reason, noted = "", judged or self.step % NOTE == 0
            if noted:
                if not self.stands(judged):
                    continue
                self.machine.merge(list(self.model.buffers()), self.before)
                self.journal.note(self.step, **self.details())
                reason = self.heard(self.validation()) if judged else ""
            reason = reason or self.reason(signals)
            if reason:
                return reason
            self.checkpoint_if_due(noted)
        return "steps"

    def reason(self, signals: Signals) -> str:
        """Why to stop here, if one should. Of several processes all hear at the same step, about every second, what one of them was told."""
        said = self.asked or signals.said or ("time" if self.elapsed() > self.recipe.seconds else "")
        if self.machine.world == 1 or self.step < self.look:
            return said if self.machine.world == 1 else ""
        code, elapsed = self.machine.most(REASONS.index(said), self.elapsed())
        step, before = self.told
        self.pace = max(elapsed - before, 0.0) / max(self.step - step, 1)
        self.told = self.step, elapsed
        self.look = self.step + max(1, min(NOTE, int(LOOK / max(self.pace, 1e-9))))
        return REASONS[int(code)]

    def heard(self, reason: str) -> str:
        """The reason of any process, where all ask at once."""
        return REASONS[int(self.machine.most(REASONS.index(reason))[0])]

    def clock(self) -> float:
        """Seconds since the beginning, the same number on every process: what a schedule follows."""
        if self.machine.world == 1:
            return self.elapsed()
        return self.told[1] + (self.step - self.told[0]) * self.pace

    def stands(self, closely: bool) -> bool:
        """Whether the run is sound; where it is not, it goes back. Closely: every weight is looked at.

        Steps that were passed over are counted from one multiple of NOTE to the next, however often a validation looks between.
        """
        mean, missed = self.machine.agree(self.window.mean), int(self.machine.most(self.window.passed_over)[0])
        lost = missed > SKIPS or missed == self.step == self.total or not (missed or math.isfinite(mean))
        if lost or ((missed or closely) and not self.sound()):
            self.back(missed)
            return False
        self.latest = mean if math.isfinite(mean) else self.latest
        over = self.step % NOTE == 0 or self.step == self.total
        self.window = Window(0 if over else missed)
        if missed and over:
            what = f"{missed} step{'s' * (missed > 1)} had a loss or a gradient that is not finite"
            self.journal.say(f"Up to step {self.step}, {what}: passed over, no weight moved.")
        return True

    def sound(self) -> bool:
        """Whether weights, buffers and what the optimisers keep of them are finite, here and on the other processes.

        A gradient of 1e20 is finite and its square is not: Adam would never move that weight again.
        """
        now = [*self.solid(), *self.training_buffers().values()]
        kept = (s for opt in self.optimizers.values() for entry in opt.state.values() for s in entry.values())
        fine = sound(now, self.good["model"]) and all(whole(s) for s in kept if isinstance(s, Tensor))
        return self.machine.most(float(not fine))[0] == 0.0

    @property
    def passed_over(self) -> int:
        """Steps since the last look that moved nothing: a checkpoint holds it."""
        return self.window.passed_over

    @passed_over.setter
    def passed_over(self, count: int) -> None:
        self.window = Window(count)

    def one_step(self) -> Tensor | float | None:
        """One turn of the game; the sum of its losses, still on the device. None where memory ran out."""
        recipe, model, machine = self.recipe, self.model, self.machine
        rank_batch = self.batch // machine.world
        start = machine.rank * rank_batch
        with noise.stream(
            noise.mix(recipe.seed, READING), self.step, start
        ):  # for examples that are drawn anew each time
            x, given = self.rows.take(self.step)
        x, given = (
            x.to(machine.device, non_blocking=True),
            None if given is None else given.to(machine.device, non_blocking=True),
        )
        progress = self.step / max(self.total, 1)
        if math.isfinite(recipe.seconds):
            progress = max(progress, self.clock() / recipe.seconds)
        model.step, model.progress = self.step, min(progress, 1.0)
        rate = recipe.lr * self.slower * schedule(recipe, self.step, model.progress)
        noise.seed_dropout(noise.mix(recipe.seed, self.step, machine.rank))
        self.missed, short = 0.0, ""
        try:
            total = self.turns(x, given, rate, start)
        except (RuntimeError, MemoryError) as problem:
            if not memory.ran_out(problem):
                raise
            short = str(problem).splitlines()[0]
        if short:  # out of the except clause, where the error no longer holds what was in memory
            self.smaller(len(x), short)
            return None
        if self.average is not None:
            warm = min(recipe.ema, (1 + self.step) / (10 + self.step))
            torch._foreach_lerp_(
                [local(t) for t in self.average], [local(p.detach()) for p in self.all_weights], 1 - warm
            )
        return total

    def turns(self, x: Tensor, given: Tensor | None, rate: float, start: int) -> Tensor | float:
        """The moves of one step. A batch in parts is as many games side by side, whose gradients are added before a player steps."""
        machine, seed, games = self.machine, noise.mix(self.recipe.seed, 0), []
        for rows in memory.parts(len(x), self.recipe.accumulate * self.parts):
            stream = noise.Stream(seed, self.step, start + rows.start, machine.device, machine.dtype)
            game = self.model.turn(x[rows], None if given is None else given[rows])
            games.append((stream, game, (rows.stop - rows.start) / len(x)))
        total: Tensor | float = 0.0
        while True:
            player, told = "", 0.0
            for stream, game, share in games:
                with stream, machine.context():
                    move = next(game, None)
                if move is None:
                    continue
                player, loss = move
                loss = loss if share == 1 else loss * share
                if loss.requires_grad:
                    # Spread weights are leaves only while they are gathered: all players get gradients, and one steps.
                    alone = self.model.players and not machine.shards
                    loss.backward(inputs=self.weights[player] if alone else None)
                told = loss.detach() if isinstance(told, float) else told + loss.detach()
            if not player:
                return total
            total = told if isinstance(total, float) else total + told
            self.update(player, self.weights[player], rate, told)

    def update(self, player: str, weights: list[nn.Parameter], rate: float, loss: Tensor | float) -> None:
        self.machine.average(weights)
        # Averaged gradients carry what one process saw to all; where weights are spread, each sees its own part.
        found = not_finite(loss if self.machine.world == 1 else 0.0, [w.grad for w in weights if w.grad is not None])
        if self.machine.shards:
            found = self.machine.most(float(found))[0]
        if self.recipe.clip:
            self.machine.clip(weights, self.recipe.clip)
        opt = self.optimizers[player]
        for group in opt.param_groups:
            group["lr"] = rate
        if isinstance(found, Tensor) and opt.defaults.get("fused"):
            opt.grad_scale, opt.found_inf = None, found  # type: ignore[attr-defined]  # its kernel looks, so that nobody waits
            opt.step()
        elif not found:
            opt.step()
        if self.model.players:
            self.machine.stepped(getattr(self.model, player))
        self.missed = self.missed + found
        # opt.zero_grad does it by way of a profiler's and a compiler's hooks
        for weight in self.all_weights if self.machine.shards else weights:
            weight.grad = None

    def smaller(self, rows: int, short: str) -> None:
        """Memory ran out: back to the last good state, from where a batch is taken in twice as many parts."""
        count, world = min(rows, self.recipe.accumulate * self.parts), self.machine.world
        if (
            world > 1 or count == rows
        ):  # the others of several processes are in the middle of a step that cannot be called off
            raise memory.OutOfMemory(
                f"Out of memory at step {self.step} with {-(-rows // count)} example(s) at a time{' on a process' * (world > 1)} ({short}). Take a "
                f"smaller batch= or model{f', or accumulate={2 * count} to take each batch in parts' * (world > 1)}."
            )
        self.restore(self.good)
        memory.release()
        self.parts, self.window = 2 * self.parts, Window()
        self.remember()
        self.journal.say(
            f"Out of memory with {-(-rows // count)} examples at a time: back to step {self.step}, and from here on a batch of {rows} is taken in "
            f"{min(rows, 2 * count)} parts whose gradients are added."
        )

    def elapsed(self) -> float:
        return self.spent + time.monotonic() - self.began

    def details(self) -> dict[str, float]:
        """The loss, and numbers that a model wants told beside it (a bound's two terms, a critic's gap)."""
        loss = {"loss": self.latest} if math.isfinite(self.latest) else {}
        return loss | {name: float(value) for name, value in getattr(self.model, "notes", {}).items()}

    # ---- judging -------------------------------------------------------------------------------------------------
    def validation(self) -> str:
        """Nats of the held-out examples; keeps the best model; says whether patience is over."""
        nats = self.judged()
        self.remember()
        if nats is None:
            return ""
        if not math.isfinite(nats):
            return self.doubt(nats)
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

    def doubt(self, nats: float) -> str:
        """A validation that is not a number keeps no model and ends no run: one example outside of what a model can reach makes every one so."""
        if not self.doubted:
            self.journal.say(f"At step {self.step} the held-out examples have {nats} nats: nothing is decided by it.")
        self.doubted = True
        return self.tell(Moment(self.model, self.step, "validation", {"valid": nats}))

    @torch.no_grad()
    def judged(self) -> float | None:
        """Mean negative log-likelihood (or bound) of the validation examples, with the same noise every time."""
        if self.valid is None or len(self.valid) == 0:
            return None
        size, machine, sums = self.rows.lot(self.recipe.accumulate, self.machine.shards), self.machine, [0.0, 0.0]
        starts = range(0, len(self.valid), size)
        self.model.eval()
        with self.averaged():
            # Each process takes every W-th lot. All take as many, for spread weights are gathered together: one too many counts nothing.
            for turn in range(0, len(starts), machine.world):
                mine = turn + machine.rank < len(starts)
                nats = self.lot(start := starts[turn + machine.rank if mine else 0], min(start + size, len(self.valid)))
                if nats is None:
                    self.model.train()
                    return None
                if mine:
                    sums = [sums[0] + float(nats.double().sum()), sums[1] + len(nats)]
        self.model.train()
        total, count = machine.sums(*sums)
        return -total / count

    def lot(self, start: int, stop: int) -> Tensor | None:
        """Nats of held-out examples by number; fewer at a time where memory is short (not where all gather the weights together)."""
        if self.machine.shards:
            return self.nats(start, stop)
        found = memory.lots(lambda a, b: self.nats(start + a, start + b), stop - start, stop - start)
        return None if found[0] is None else torch.cat(found)  # type: ignore[arg-type]

    def nats(self, start: int, stop: int) -> Tensor | None:
        machine, seed = self.machine, self.recipe.seed
        with noise.stream(noise.mix(seed, READING), 0, start):
            x, given = self.valid.take(torch.arange(start, stop))
        x, given = x.to(machine.device), None if given is None else given.to(machine.device)
        with noise.stream(seed, 1 << 40, start, machine.device, machine.dtype):
            return self.model.judge(x, given)

    def averaged(self) -> Any:
        return Swapped(self.all_weights, self.average) if self.average is not None else nullcontext()

    def tell(self, moment: Moment) -> str:
        ends = [callback(moment) for callback in self.callbacks]
        return "callback" if any(end is True for end in ends) else ""

    # ---- keeping and going back ----------------------------------------------------------------------------------
    def back(self, missed: int = 0) -> None:
        """Return to the last good state with half the learning rate; give up after a few times."""
        there = self.step
        self.restore(self.good)
        self.window = Window()
        self.failures += 1
        self.slower /= 2
        rate = self.recipe.lr * self.slower
        seen = "the loss or a weight was not finite, or one of its moments in the optimiser"
        if missed:
            seen = f"{missed} of the last steps had a loss or a gradient that is not finite"
        if math.isfinite(self.latest):
            seen += f" (the loss was {self.latest:.4g} before)"
        if self.failures > TRIES:
            raise Diverged(
                f"{type(self.model).__name__} diverged at step {there}: {seen}, for the {self.failures}th time, although the learning rate was halved "
                f"to {2 * rate:.2g}. The model stands at its last good state, of step {self.step}. Try lr={self.recipe.lr / 10:.1g}, clip=1.0, or "
                "look for extreme values in the data."
            )
        self.journal.say(f"At step {there} {seen}: back to step {self.step} with learning rate {rate:.2g}.")
        self.remember()

    # ---- after the last step -------------------------------------------------------------------------------------
    @torch.no_grad()
    def finish(self, reason: str) -> None:
        """Leave the model at its best: the best validation, else the averaged weights, else the last step."""
        if not self.sound():
            there = self.step
            self.restore(self.good)
            self.journal.say(
                f"At step {there} a weight or moment was not finite: the model is that of step {self.step}."
            )
        self.machine.merge(list(self.model.buffers()), self.before)
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
