"""What a run keeps: a copy in memory to go back to, checkpoints to go on from, in one piece or each process its part.

With averaged gradients every process has all the state, so the first one writes it and reads it for the others, which need not see the folder.
With spread weights every process writes and reads its own part (`shards.py`), in a folder that all see. A run may go on with another number of
processes, and spread or not; then it is not the same bit for bit, and says so.
"""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .. import noise
from ..errors import BadFile, Usage
from . import checkpoint, shards
from .machine import Machine, like
from .signals import Later

FREE = ("steps", "epochs", "time", "valid", "every", "patience", "keep")  # settings that move no weight
MARKED = 64  # examples that tell whether they are the same
NAMES = ("step", "best", "best_step", "waited", "slower", "failures", "parts", "passed_over")  # numbers of a run


class Keeping:
    """The part of a run that keeps and brings back."""

    model: Any
    examples: Any
    recipe: Any
    origin: dict[str, Any] = {}  # what its steps depend on; only a run in a folder asks
    machine: Machine
    journal: Any
    folder: Path | None
    average: list[Tensor] | None
    winner: list[Tensor] | None
    optimizers: dict[str, torch.optim.Optimizer]
    weights: dict[str, list[Any]]
    all_weights: list[Any]
    stored: Any
    good: dict[str, Any]
    before: list[Tensor]  # what the buffers were when the processes last brought them together
    step: int
    best: float | None
    waited: int
    kept: float
    spent: float

    # ---- what a state consists of ----------------------------------------------------------------------------------
    def solid(self) -> list[Tensor]:
        """Weights and persistent buffers: what the best model consists of."""
        return list(self.model.state_dict(keep_vars=True).values())

    def training_buffers(self) -> dict[str, Tensor]:
        """State that only training needs (chains, running means): buffers that the saved weights leave out."""
        kept = set(self.model.state_dict())
        return {name: b for name, b in self.model.named_buffers() if name not in kept}

    def keepsakes(self, kind: str) -> list[Tensor]:
        return self.all_weights if kind == "average" else self.solid()

    def named(self) -> dict[str, Tensor]:
        """Everything that a checkpoint holds but numbers."""
        tensors = {f"model.{n}": t for n, t in {**self.model.state_dict(), **self.training_buffers()}.items()}
        for name, opt in self.optimizers.items():
            tensors |= checkpoint.flatten(opt, f"optim.{name}")
        for kind in ("average", "winner"):
            tensors |= {f"{kind}.{i}": t for i, t in enumerate(getattr(self, kind) or ())}
        return tensors

    # ---- going on --------------------------------------------------------------------------------------------------
    def marks(self) -> dict[str, Any]:
        """What the steps of a run depend on, beside the machine: model, examples, recipe."""
        with noise.stream(0):
            rows = self.examples.take(torch.arange(min(MARKED, len(self.examples))))
        found = hashlib.sha256(repr((len(self.examples), getattr(self.examples, "space", ""))).encode())
        for part in rows:
            found.update(b"" if part is None else part.cpu().contiguous().numpy().tobytes())
        settings = {name: value for name, value in vars(self.recipe).items() if name not in FREE}
        return {"model": repr(self.model), "examples": found.hexdigest(), "torch": torch.__version__, **settings}

    def agree(self) -> None:
        """What a run depends on, for its checkpoints; of several processes all must have been given the same."""
        self.origin = self.marks() if self.folder or self.machine.world > 1 else {}
        self.machine.same(**self.origin, settings=vars(self.recipe))

    def resume(self) -> None:
        """Before the weights are placed: find the newest whole checkpoint and take what is in one piece."""
        where = self.folder / "checkpoints" if self.folder else None
        parts = None if where is None or self.machine.rank else shards.newest(where)
        self.machine.meet()  # the first reads all of it for the hashes
        parts = self.machine.tell(parts and str(parts))
        if parts:
            self.stored = Path(parts), self.in_parts(Path(parts))
            return
        found = None if where is None or self.machine.rank else checkpoint.newest(where)
        self.machine.meet()
        state = self.machine.tell(found and found[1])
        if state is None:
            if why := self.machine.tell(checkpoint.refusal(self.folder) if self.machine.rank == 0 else ""):
                raise Usage(why)
            self.journal.say("There is no checkpoint to go on from: starting from the beginning.")
            return
        if where and found and (newest := checkpoint.places(where)[-1])[0] > state.get("step", 0):
            self.journal.say(f"{newest[1]} is damaged, and is passed over.")
        self.check(state)
        tensors = self.machine.send(found[0] if found else {})
        checkpoint.pour(tensors, {**self.model.state_dict(keep_vars=True), **self.training_buffers()})
        self.stored = tensors, state
        self.numbers(state)

    def in_parts(self, place: Path) -> dict[str, Any]:
        """The numbers of a checkpoint in parts, which all processes must see."""
        seen = self.machine.sums(float((place / "state.json").is_file()))[0]
        if seen < self.machine.world:
            raise Usage(
                f"{place} was written in parts, and only {seen:.0f} of {self.machine.world} processes see it. "
                "Put the model's folder where all hosts can read it, or go on on one host."
            )
        self.check(state := shards.state(place))
        own = {**self.model.state_dict(), **self.training_buffers()}
        blank = {n: torch.empty(shape, device="meta") for n, (shape, _) in shards.contents(place).items()}
        checkpoint.pour(blank, {n: torch.empty(t.shape or (1,), device="meta") for n, t in own.items()})  # shapes alone
        self.numbers(state)
        return state

    def check(self, state: dict[str, Any]) -> None:
        """Whether a checkpoint is of this model; its shapes do not tell."""
        now = self.origin.get("model")
        wrote = state.get("origin", {}).get("model", now)
        if wrote != now:
            raise Usage(
                f"The checkpoint is of {str(wrote)[:300]}; this is {now}. Resume with the same fields, or start anew (overwrite)."
            )

    def numbers(self, state: dict[str, Any]) -> None:
        for name in (*NAMES, "spent"):
            setattr(self, name, state.get(name, getattr(self, name)))  # a checkpoint of before has not all of them
        now, other = self.circumstances(), []
        for key, word in (("world", "process(es)"), ("threads", "thread(s)")):
            if state.get(key, now[key]) != now[key]:
                other.append(f"{state[key]} {word} wrote it and {now[key]} go on")
        if state.get("spread", now["spread"]) != now["spread"]:
            other.append(f"its weights were {'' if state['spread'] else 'not '}spread over processes")
        then = state.get("origin", {})
        changed = [name for name, value in self.origin.items() if then.get(name, value) != value]
        other += [f"{n} was {str(then[n])[:40]} and is {self.origin[n]}" for n in changed if n != "examples"]
        if "examples" in changed:
            other.append("the examples are others")
        if "examples" in changed or "seed" in changed:
            self.best, self.waited = None, 0  # other examples are held out: what was best on those says nothing here
        exact = f" It will not be the same bit for bit: {', and '.join(other)}." if other else ""
        self.journal.say(f"Going on from step {self.step}.{exact}")

    def circumstances(self) -> dict[str, Any]:
        """What the rounding of sums depends on."""
        return {"world": self.machine.world, "threads": torch.get_num_threads(), "spread": self.machine.shards}

    def take_up(self) -> None:
        """After the weights are placed and the optimisers made: the rest of a checkpoint."""
        if self.stored is not None:
            self.fill(self.stored[0])
            self.stored = None
        if self.recipe.ema and self.average is None:  # not before, for spread weights are filled only now
            self.average = [p.detach().clone() for p in self.all_weights]

    def fill(self, source: Any) -> None:
        if isinstance(source, Path):
            self.read_parts(source)
        else:
            for name, opt in self.optimizers.items():
                checkpoint.unflatten(opt, f"optim.{name}", source)
                for weight, entry in opt.state.items():
                    same = {k: v for k, v in entry.items() if isinstance(v, Tensor) and v.shape == weight.shape}
                    entry.update({k: like(v, weight) for k, v in same.items()})
            for kind in ("average", "winner"):
                own = self.keepsakes(kind)
                found = [source.get(f"{kind}.{i}") for i in range(len(own))]
                if any(part is not None for part in found):
                    if any(part is None or part.shape != t.shape for part, t in zip(found, own, strict=True)):
                        raise BadFile(f"The checkpoint's {kind} is not that of this model. Start anew (overwrite).")
                    setattr(self, kind, [like(part, t) for part, t in zip(found, own, strict=True)])

    @torch.no_grad()
    def read_parts(self, place: Path) -> None:
        """Room for all that the checkpoint holds, spread as the weights are, and then its slices into it."""
        known = shards.contents(place)
        into = {f"model.{n}": t for n, t in {**self.model.state_dict(), **self.training_buffers()}.items()}
        for kind in ("average", "winner"):
            if f"{kind}.0" in known:
                setattr(self, kind, [torch.empty_like(t.detach()) for t in self.keepsakes(kind)])
                into |= {f"{kind}.{i}": t for i, t in enumerate(getattr(self, kind))}
        for player, opt in self.optimizers.items():
            for i, weight in enumerate(self.weights[player]):
                prefix = f"optim.{player}.{i}."
                held = [n for n in known if n.startswith(prefix)]
                if held and {n.removeprefix(prefix) for n in held} != checkpoint.KEPT[type(opt).__name__]:
                    raise BadFile(
                        f"{place} holds {held[0]!r} and what is beside it, which is not what {type(opt).__name__} keeps. "
                        "Resume with the recipe that it was written with, or start anew (overwrite)."
                    )
                for name in held:
                    shape, dtype = known[name]
                    # A number alone (how many steps an optimiser took) was written as a row of one.
                    alike = shape == tuple(weight.shape) and not name.endswith(".step")
                    device = weight.device if opt.defaults.get("fused") else "cpu"
                    room = torch.empty_like(weight.detach()) if alike else torch.empty((), dtype=dtype, device=device)
                    into[name] = opt.state[weight][name.removeprefix(prefix)] = room
        shards.read(self.machine, place, into)

    # ---- checkpoints -----------------------------------------------------------------------------------------------
    def checkpoint_if_due(self, noted: bool) -> None:
        """Where steps are slow also between two looks, unless several processes would have to bring their buffers together for it."""
        late = time.monotonic() - self.kept > self.recipe.keep
        if not self.folder or not (noted or (late and self.recipe.keep and self.machine.world == 1)):
            return
        if self.machine.most(float(late))[0] and self.sound():  # type: ignore[attr-defined]
            self.checkpoint()

    def checkpoint(self) -> None:
        """Write what stands now. A disk that is full does not end a run: the one before stands, and it goes on."""
        state = {name: getattr(self, name) for name in NAMES} | {
            "spent": self.elapsed(),  # type: ignore[attr-defined]
            "origin": self.origin,
            **self.circumstances(),
        }
        where = self.folder / "checkpoints"  # type: ignore[operator]
        try:
            if self.machine.shards:
                shards.write(self.machine, where, self.step, self.named(), state)
            elif self.machine.rank == 0:
                checkpoint.write(where, self.step, self.named(), state)
        except OSError as problem:
            self.journal.say(
                f"The checkpoint of step {self.step} could not be written ({problem}); what stands there is whole. Going on."
            )
        self.kept = time.monotonic()
        self.machine.meet()

    # ---- a copy in memory ------------------------------------------------------------------------------------------
    def remember(self) -> None:
        """What stands now is what to go back to. The copy before goes first: two would be as large as all that a step needs."""
        with Later():  # a second Ctrl-C in between would find none
            self.good = {}
            self.good = self.snapshot()

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
        self.before = [t.detach().clone() for t in self.model.buffers()] if self.before else []
