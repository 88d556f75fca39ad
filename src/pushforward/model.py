"""The abstraction: a model of p(x | given).

A system writes annotated fields, `build(space, given)`, the underscore twins of what its mathematics gives, on tensors in model
coordinates, and one way to learn: `solve`, `loss` or `moves` (none if `_log_prob` or `_bound` is there). The public verbs, here
called doors, are written once, in this file: raw data -> tensors -> chart -> batches -> mathematics -> the kind of thing that came in.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from . import noise, tags
from .abilities import ABILITIES, KINDS, Ability, Told
from .anomaly import anomaly
from .data.examples import Examples, spread
from .data.load import load as load_data
from .data.sources import recognise
from .engine import Journal, Lots, Machine, Recipe, memory, play
from .errors import BadData, Unable, Usage, not_fitted
from .fields import Fields
from .saving import claim, save
from .space import Chart, Space, indexed

SOLVING = 1 << 41  # the step whose noise a closed form sees
BUDGET = 1 << 26  # numbers that a batch of a door may hold at once


class Model(Fields):
    """p(x | given). See docs/add-a-model.md for how a system is written."""

    recipe: ClassVar[Recipe] = Recipe()
    players: ClassVar[tuple[str, ...]] = ()
    coordinates: ClassVar[str] = "natural"
    spaces: ClassVar[tuple[str, ...]] = ("real", "binary", "levels", "table")  # what it can be built for
    gaps: ClassVar[bool] = False  # whether numbers may be missing
    kinds: ClassVar[dict[str, str]] = {}
    why_not: ClassVar[dict[str, str]] = {}
    small: ClassVar[dict[str, Any]] = {}  # fields of a small one, for trials: the laws and the demo use them
    footprint: ClassVar[Any] = 64  # numbers that a door holds for each variable of an example, about
    plates: ClassVar[Any] = "N{[x]}; theta -> x"  # the graph of its variables, in the words of graphs/graph.py

    def __init_subclass__(cls, **options: Any):
        for name in ("step", "progress", "notes"):
            if name in cls.__dict__:
                raise TypeError(
                    f"{cls.__name__}.{name} would hide what the engine tells a model while it trains. Choose another name."
                )
        super().__init_subclass__(**options)

    # ---- what a system writes ------------------------------------------------------------------------------------
    def build(self, space: Space, given: int | None = None) -> None:
        """Make the networks and buffers for a space in model coordinates and `given` features of the condition."""
        raise TypeError(f"{type(self).__name__} has no build(space, given). See docs/add-a-model.md.")

    def loss(self, x: Tensor, given: Tensor | None = None) -> Tensor:
        """Minus the mean log-likelihood, or bound, in nats; the default objective."""
        return -self._nats(x, given).mean()

    def moves(self, x: Tensor, given: Tensor | None = None) -> Iterator[tuple[str, Tensor]]:
        """The game of one step: yield (player, loss); that player has stepped when the next line runs."""
        yield "model", self.loss(x, given)

    def prime(self, x: Tensor, given: Tensor | None = None) -> None:
        """Set what must start from the data (biases, scales), from a first lot of examples, before training."""

    def unable(self, ability: str) -> str | None:
        """A reason why this fitted model lacks an ability that its class has; None where it has it."""

    # ---- abilities -----------------------------------------------------------------------------------------------
    def lack(self, ability: str) -> str | None:
        """Why the model lacks an ability; None where it has it."""
        if ability in ("score", "score_samples"):
            found = [self.lack("log_prob"), self.lack("bound")]
            return None if None in found else found[0]
        twin, exact = hasattr(type(self), f"_{ability}"), self.__dict__.get("_chart_exact", True)
        if ability == "bound" and not exact and hasattr(type(self), "_log_prob"):
            return None
        if not twin:
            return self.why_not.get(ability, "its mathematics does not give one.")
        if ability == "log_prob" and not exact:
            return (
                f"the data are whole numbers ({self.space.kind}) and the model is a density of them plus uniform noise. "
                "bound gives a lower bound of log P(x)."
            )
        return self.unable(ability) if "_space" in self.__dict__ else None

    def reason(self, ability: str) -> str | None:
        """None if the model can; else a sentence that says why not and what it can do instead."""
        why = self.lack(ability)
        return why and f"{type(self).__name__} has no {ability}: {why} It can: {', '.join(self.abilities)}."

    @property
    def abilities(self) -> dict[str, str]:
        """What this model can do, and of what kind each answer is."""
        found = {a: self.kinds.get(a, KINDS[a]) for a in ABILITIES if self.lack(a) is None}
        if "complete" in found and not self.__dict__.get("_chart_exact", True):
            found["complete"] += " of x plus uniform noise"
        return found

    def __getattr__(self, name: str) -> Any:
        if name in (*ABILITIES, "score", "score_samples") and (reason := self.reason(name)) is not None:
            raise Unable(reason)
        return super().__getattr__(name)

    # ---- learning ------------------------------------------------------------------------------------------------
    @torch.inference_mode(False)  # whatever stands around the call, this learns
    def fit(
        self,
        x: Any,
        y: Any = None,
        *,
        given: Any = None,
        valid: Any = None,
        out: str | Path | None = None,
        overwrite: bool = False,
        resume: bool = False,
        device: str = "auto",
        shards: bool = False,
        callbacks: Sequence[Callable] = (),
        quiet: bool = False,
        tensorboard: bool = False,
        **changes: Any,
    ) -> Self:
        """Learn from x: an array, tensor, DataFrame, list of strings, path or Examples. `y` is ignored (scikit-learn's convention);
        a condition comes as `given=`. `valid` is a share of the examples to hold out, or the examples held out.
        Further keywords change the recipe: steps, time, batch, lr, seed …
        """
        self.check_fields()
        if isinstance(valid, int | float):  # a share of the examples
            valid, changes["valid"] = None, float(valid)
        recipe = self.recipe.change(
            **({"steps": 10**9} if "time" in changes and not {"steps", "epochs"} & set(changes) else {}), **changes
        )
        examples = x if isinstance(x, Examples) and given is None else load_data(x, given=given)
        machine = Machine(device, recipe.precision, shards)
        folder = None if out is None else Path(out).absolute()
        if folder and machine.rank == 0:
            claim(folder, overwrite, resume)
        steps = not hasattr(type(self), "solve")
        held = None if valid is None else examples.alike(valid)
        if held is None and steps and recipe.valid and self.judges() and len(examples) >= 20:
            examples, held = examples.split(recipe.valid, recipe.seed)
        self.make(examples.space, examples.given_space, examples, recipe.seed, machine.dtype)
        with Journal(folder if machine.rank == 0 else None, quiet or machine.rank > 0, tensorboard) as journal:
            if steps:
                with torch.enable_grad():
                    outcome = play(self, examples, recipe, machine, journal, held, folder, resume, callbacks)
                self.outcome_ = vars(outcome)
                if machine.shards:
                    again = (examples.space, examples.given_space, examples, recipe.seed, machine.dtype)
                    machine.gather(self, lambda: self.make(*again))
            else:
                self.to(machine.device)
                self.learn_at_once(examples, recipe.seed)
                self.outcome_ = {"step": 0, "reason": "solved", "best": None}
            self.history_, self._recipe = journal.entries, recipe
            self.eval()
            self.outcome_ |= {"remark": self.remark()} if hasattr(type(self), "remark") else {}
            machine.end(lambda: save(self, folder) if folder else None)
        return self

    @torch.no_grad()
    def learn_at_once(self, examples: Examples, seed: int) -> None:
        lots = Lots(self, examples, seed, SOLVING)
        try:
            with noise.stream(seed, SOLVING, 0, self.device, self.dtype):  # not that which a bound will be judged with
                many = len(lots) > 1 and hasattr(type(self), "absorb")
                self.absorb(lots) if many else self.solve(*lots.whole())  # type: ignore[operator]
        except BaseException:
            self.__dict__.pop("_space", None)  # half solved is not fitted
            raise

    def make(
        self,
        space: Space,
        given_space: Space | None,
        examples: Examples | None,
        seed: int = 0,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        """Charts and networks for a space. Without examples (on loading) the charts' constants come with the weights."""
        self.forget()
        space.check_whole(type(self).__name__, self.gaps or (space.kind not in self.spaces and space.form == "frame"))
        if space.kind not in self.spaces:
            raise BadData(
                f"{type(self).__name__} is a model of {', '.join(self.spaces)} examples; these are {space}. See `pushforward models` for one that fits."
            )
        # A chart of codes has no constants to find, and a look at the first examples is all that `prime` needs.
        needed = 1 << 16 if space.kind in ("real", "table") or self.coordinates == "continuous" else 8192
        first = examples.take(slice(0, needed)) if examples else (None, None)
        chart = Chart.of(space, self.coordinates, space.blank() if first[0] is None else first[0])
        given_chart = None
        if given_space is not None:
            given_chart = Chart.of(given_space, "features", given_space.blank() if first[1] is None else first[1])
        self._space, self._given, self._dtype = space, given_space, dtype
        self._chart_exact = chart.exact or self.coordinates == "features"
        with noise.initialisation(seed), noise.stream(seed):
            self.build(chart.space, given_chart.space.size if given_chart else None)
        self.to(dtype)
        self.chart, self._given_chart = chart, given_chart  # after `to`: charts stay in double precision
        self.n_features_in_ = space.size
        if space.names and space.form == "frame":
            self.feature_names_in_ = np.array(space.names, dtype=object)
        if examples is not None and type(self).prime is not Model.prime:
            with torch.no_grad(), noise.stream(seed, dtype=dtype):
                y, g, _ = self.enter(*(part if part is None else part[:8192] for part in first))  # type: ignore[arg-type]
                self.prime(y, g)

    # ---- what the engine calls -----------------------------------------------------------------------------------
    def turn(self, x: Tensor, given: Tensor | None) -> Iterator[tuple[str, Tensor]]:
        with torch.no_grad():
            y, g, _ = self.enter(x, given)
        yield from self.moves(y, g)

    def judge(self, x: Tensor, given: Tensor | None) -> Tensor | None:
        """Log-likelihood or bound of each example in the units of the data; None where the model has neither."""
        if not self.judges():
            return None
        y, g, ladj = self.enter(x, given)
        return self._nats(y, g) + ladj

    def judges(self) -> bool:
        return hasattr(type(self), "_log_prob") or hasattr(type(self), "_bound")

    def _nats(self, x: Tensor, given: Tensor | None) -> Tensor:
        if hasattr(type(self), "_log_prob") and ("_space" not in self.__dict__ or self.unable("log_prob") is None):
            return self._log_prob(x, given)  # type: ignore[operator]
        return self._bound(x, given)  # type: ignore[operator]

    def units(self, nats: float) -> dict[str, float]:
        return {"bits/dim": nats / np.log(2) / self.space.size} if self.space.discrete else {}

    def enter(self, x: Tensor, given: Tensor | None) -> tuple[Tensor, Tensor | None, Tensor]:
        """Data units -> model coordinates, the condition's features, and the chart's log-Jacobian."""
        if self.space.kind != "tokens" and not (x.is_floating_point() and len(self.chart.steps)):
            x = x.to(
                torch.float64 if self.space.kind == "real" else self.dtype
            )  # float32 would round large whole numbers
        y, ladj = self.chart(x)
        g = (
            None
            if given is None or self._given_chart is None
            else self._given_chart(given.double())[0].flatten(1).to(self.dtype)
        )
        return (y if self.space.kind == "tokens" else y.to(self.dtype)), g, ladj.to(self.dtype)

    # ---- the doors -----------------------------------------------------------------------------------------------
    @Ability
    def sample(self, n: int = 1, given: Any = None, seed: int | None = None) -> Any:
        """n new examples, of the kind that the model was fitted on. The same seed gives the same examples; row i does not depend on n."""
        self.check_fitted()
        if not isinstance(n, int | np.integer) or n < 0:
            raise Usage(f"sample(n={n!r}): a whole number of at least 0 is awaited.")
        g = self.read_given(given, int(n))
        seed = secrets.randbits(62) if seed is None else int(seed)

        def one(rows: slice) -> Tensor:
            y = self._sample(rows.stop - rows.start, None if g is None else self.condition(g[rows]))  # type: ignore[operator]
            return self.leave(y)

        with torch.no_grad():
            return self.space.restore(self.batched(one, int(n), seed, self.space.shape))

    @Ability
    def log_prob(self, x: Any, given: Any = None) -> Any:
        """log p(x | given) in nats per example, exact, in the units of the data."""
        return self.per_row(x, given, self._log_prob)  # type: ignore[attr-defined]

    @Ability
    def bound(self, x: Any, given: Any = None, seed: int = 0) -> Any:
        """A number in nats per example that is at most log p(x | given), on average over its draws; in the units of the data."""
        inner = self._bound if hasattr(type(self), "_bound") else self._log_prob  # type: ignore[attr-defined]
        return self.per_row(x, given, inner, seed)

    @Ability
    def energy(self, x: Any, given: Any = None) -> Any:
        """E(x) with p(x) ∝ exp(-E(x)): low is likely; the constant is not known."""
        return self.per_row(x, given, self._energy, sign=-1.0)  # type: ignore[attr-defined]

    @Ability
    def evidence(self, x: Any, given: Any = None, seed: int = 0, **options: Any) -> Any:
        """An estimate of log p(x | given) in nats per example by sampling (more `samples`, a tighter one); its spread is in `evidence_`."""
        self.evidence_: dict[str, Any] = {"kind": self.kinds.get("evidence", KINDS["evidence"])}
        return self.per_row(x, given, lambda y, g: self._evidence(y, g, **options), seed)  # type: ignore[attr-defined]

    @Ability
    def encode(self, x: Any, given: Any = None, seed: int = 0) -> Any:
        """The latent code of each example."""
        return self.per_row(x, given, self._encode, seed, jacobian=False)  # type: ignore[attr-defined]

    @Ability
    def decode(self, z: Any, given: Any = None, seed: int = 0) -> Any:
        """The example of each code."""
        self.check_fitted()
        codes = torch.as_tensor(np.asarray(z) if not isinstance(z, Tensor) else z).to(self.device, self.dtype)
        g = self.read_given(given, len(codes))

        def one(rows: slice) -> Tensor:
            return self.leave(self._decode(codes[rows], None if g is None else self.condition(g[rows])))  # type: ignore[operator]

        out = self.batched(one, len(codes), seed, self.space.shape)
        return out if isinstance(z, Tensor) else self.space.restore(out)

    @Ability
    def complete(self, x: Any, known: Any = None, given: Any = None, seed: int = 0) -> Any:
        """x with its unknown part drawn from p(unknown | known). Unknown is NaN, a missing cell, the rest of a text, or where `known` is False."""
        self.check_fitted()
        tensor, mask = self.space.read_partly(recognise(x)[0], known)
        g = self.read_given(given, len(tensor))
        self.completion_: dict[str, Any] = {"kind": self.abilities["complete"]}

        def one(rows: slice) -> Tensor:
            t, m = tensor[rows].to(self.device), mask[rows].to(self.device)
            y, cond, _ = self.enter(
                torch.where(m, t, torch.zeros_like(t)), None if g is None else g[rows].to(self.device)
            )
            k = self.chart.seen(m)
            out = self.leave(self._complete(torch.where(k, y, torch.zeros_like(y)), k, cond))  # type: ignore[operator]
            return torch.where(m, t.to(out.dtype), out)

        with torch.no_grad():
            out = self.batched(one, len(tensor), seed, self.space.shape)
        return out if isinstance(x, Tensor) else indexed(self.space.restore(out), x)

    def grad_log_prob(self, x: Any, given: Any = None) -> Any:
        """∇ log p(x) (or of the bound, or minus the energy's gradient) with respect to x, in the units of the data."""
        t = (x if isinstance(x, Tensor) else self.space.read(x)).to(self.device).detach().double().requires_grad_()
        way = next((a for a in ("log_prob", "bound") if hasattr(self, a)), "energy")
        total = getattr(self, way)(t, given).sum()
        grad = torch.autograd.grad(-total if way == "energy" else total, t)[0]
        return grad if isinstance(x, Tensor) else grad.cpu().numpy()

    @Ability
    def score_samples(self, x: Any) -> np.ndarray:
        """log p (or its bound) of each row: scikit-learn's name."""
        return (self.log_prob if hasattr(self, "log_prob") else self.bound)(x)

    @Ability
    def score(self, x: Any, y: Any = None) -> float:
        """The mean log-likelihood (or bound) in nats: higher is better."""
        return float(np.mean(np.asarray(self.score_samples(x))))

    # ---- inside the doors ----------------------------------------------------------------------------------------
    def per_row(
        self, x: Any, given: Any, inner: Callable, seed: int = 0, sign: float = 1.0, jacobian: bool = True
    ) -> Any:
        """One answer an example: tensors in, tensors out (differentiable); anything else in, an array out."""
        self.check_fitted()
        raw = isinstance(x, Tensor)
        held = x if isinstance(x, Examples) else None
        tensor: Any = self.space.read(x.detach() if raw else recognise(x)[0]) if held is None else held
        tensor = self.space.settle(x) if raw else tensor
        count = len(tensor)
        g = held.given if held is not None and given is None else self.read_given(given, count)

        def one(rows: slice) -> Tensor:
            part = tensor[rows] if held is None else held.take(torch.arange(rows.start, rows.stop))[0]
            y, cond, ladj = self.enter(part.to(self.device), None if g is None else g[rows].to(self.device))
            out = inner(y, cond)
            return out + sign * ladj if jacobian else out

        with torch.set_grad_enabled(raw and torch.is_grad_enabled()):
            out = self.batched(one, count, seed, ())
        return out if raw else out.cpu().numpy()

    def batched(self, one: Callable[[slice], Tensor], n: int, seed: int, shape: tuple[int, ...]) -> Tensor:
        """Run `one` over rows in batches that fit the memory budget, each with its rows of the private stream."""
        rows = max(64, min(4096, BUDGET // max(self.space.size * int(self.footprint), 1)) // 64 * 64)

        def lot(start: int, stop: int) -> Tensor:
            # Noise is drawn on the CPU, so that a seed means the same examples on every device.
            with noise.stream(seed, 0, start, "cpu", self.dtype):
                return one(slice(start, stop))

        parts = memory.lots(lot, n, rows)
        return torch.cat(parts) if len(parts) > 1 else parts[0] if parts else torch.zeros((0, *shape))

    def leave(self, y: Tensor) -> Tensor:
        """Model coordinates -> data units."""
        if self.space.kind == "tokens":
            return y.long().reshape(-1, *self.space.shape)
        y = y.reshape(-1, *self.chart.space.shape)
        x = self.chart.inverse(y.double() if y.is_floating_point() and y.device.type != "mps" else y)
        return x.reshape(-1, *self.space.shape)

    def condition(self, g: Tensor) -> Tensor:
        return self._given_chart(g.to(self.device).double())[0].flatten(1).to(self.dtype)  # type: ignore[misc]

    def read_given(self, given: Any, n: int) -> Tensor | None:
        if self._given is None:
            if given is not None:
                raise Usage(
                    f"This {type(self).__name__} was fitted without a condition; given= is not awaited. Fit with given=… to have one."
                )
            return None
        if given is None:
            raise Usage(
                f"This {type(self).__name__} is a model of p(x | given): pass given=…, of {', '.join(self._given.names) or self._given}."
            )
        g = self._given.read(spread(given, n, self._given))
        if len(g) != n:
            raise BadData(f"given has {len(g)} rows for {n} examples. Pass one row each, or one value for all.")
        return g

    def check_fitted(self) -> None:
        if "_space" not in self.__dict__:
            raise not_fitted(type(self).__name__)

    # ---- what the engine tells while it trains -------------------------------------------------------------------
    step = Told(0, "The number of steps taken.")
    progress = Told(0.0, "How far training is, from 0 to 1: for warm-ups, temperatures and stages.")
    notes = Told({}, "Numbers of the last step that the journal tells beside the loss.")

    # ---- facts ---------------------------------------------------------------------------------------------------
    @property
    def space(self) -> Space:
        self.check_fitted()
        return self.__dict__["_space"]

    @property
    def device(self) -> torch.device:
        return next((t.device for t in [*self.parameters(), *self.buffers()]), torch.device("cpu"))

    @property
    def dtype(self) -> torch.dtype:
        return self.__dict__.get("_dtype", torch.float32)

    def size(self) -> int:
        """The number of learned parameters."""
        return sum(p.numel() for p in self.parameters())

    def save(self, path: str | Path, overwrite: bool = False) -> Path:
        """Write the model as a folder NAME.pf: card, weights, manifest. No pickle."""
        self.check_fitted()
        if (why := self.unable("save")) is not None:
            raise Unable(why)
        return save(self, claim(path, overwrite, False))

    summary, graph, _repr_html_, __sklearn_tags__ = tags.summary, tags.graph, tags.html, tags.sklearn_tags
    anomaly = anomaly

    def __sklearn_is_fitted__(self) -> bool:
        return "_space" in self.__dict__
