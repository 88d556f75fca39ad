"""The measures of a report: one entry each says when it applies, how it is asked for, what it says and which direction is good.

A measure takes the case and gives an Estimate, several by name, or an object that holds some. One that cannot be had for these data says why
on the page; none is left out in silence. To add one is to add an entry.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any

from ..errors import Problem, Usage
from ..metrics.distances import mmd, wasserstein
from ..metrics.divergences import divergence
from ..metrics.estimate import Estimate
from ..metrics.privacy import privacy
from ..metrics.quality import c2st, frechet, prdc
from ..metrics.scores import Scores
from ..metrics.sequences import sequences
from ..metrics.tables import columns, missingness, trends
from ..metrics.variety import ndb, vendi
from .case import Case
from .page import measured

BOOSTED = 128  # features up to which boosting is quick
RECORDS = 10_000  # rows of a side whose distances are taken, where measures look at 2,000
ROWS = ("real", "table", "binary", "levels")
ALL = (*ROWS, "tokens")
FEATURES = {
    "real": "columns standardised by the real rows",
    "table": "numbers standardised by the real rows, labels one-hot",
    "binary": "bits as numbers",
    "levels": "levels as numbers",
    "tokens": "symbols one-hot, place by place",
}


@dataclass(frozen=True)
class Measure:
    """One way to compare samples with real rows."""

    name: str  # in the JSON
    title: str  # on the page
    kinds: tuple[str, ...]  # of spaces that it is for
    ask: Callable[[Case], Any]
    good: str  # in two or three words, for the table
    says: str  # in a sentence
    most: int = 0  # variables at most, where not all can be taken; 0: any number
    least: int = 1  # variables at least
    slow: bool = False  # left out of a quick page
    whole: str = ""  # what its main number is called, where not as the measure


@dataclass
class Found:
    """What a measure gave, or why it gave nothing."""

    measure: Measure
    estimates: dict[str, Estimate] = field(default_factory=dict)
    why: str = ""

    def to_json(self) -> dict[str, Any]:
        return (
            {name: one.to_json() for name, one in self.estimates.items()} if not self.why else {"not_known": self.why}
        )

    def lines(self) -> list[dict[str, Any]]:
        """Its numbers as rows of a table."""
        return [line(self.label(key), one, self.measure.good) for key, one in self.estimates.items()]

    def label(self, key: str) -> str:
        own, title = self.measure.name, self.measure.title
        part = key.removeprefix(f"{own}: ").replace("auc", "AUC")
        return self.measure.whole or title if key == own else f"{title}: {part}"


def both(case: Case) -> tuple[Any, Any]:
    """Real rows and samples as the sides of a measure, as many of each."""
    m = min(len(case.real), len(case.fake))
    return case.side(case.real[:m], "real rows"), case.side(case.fake[:m], "samples")


def frames(case: Case, by: Callable[..., Any]) -> Any:
    """A measure of two tables."""
    m = min(len(case.real), len(case.fake))
    return by(case.frame(case.real[:m]), case.frame(case.fake[:m]), seed=case.seed)


def on_features(case: Case, by: Callable[..., Any], **options: Any) -> Any:
    """A measure of two matrices of numbers, with a word on what stands in them."""
    look, m = case.scaler(case.x), min(len(case.real), len(case.fake))
    answer = by(*(look(x[:m]).numpy() for x in (case.real, case.fake)), seed=case.seed, **options)
    words = FEATURES[case.space.kind]
    if isinstance(answer, Estimate):
        return replace(answer, features=words)
    return {name: replace(one, features=words) for name, one in named(answer, by.__name__)}


def texts(case: Case) -> Any:
    """Samples against the texts that were learned from."""
    if case.train is None or case.seen is None:
        raise Usage("no training rows were passed (--train FILE), and novelty is against them.")
    return sequences(case.raw(case.fake), case.raw(case.seen), case.raw(case.real), rows=len(case.fake), seed=case.seed)


def copying(case: Case) -> Any:
    """Samples against rows of the training and rows that were not in it."""
    if case.train is None:
        raise Usage("no training rows were passed (--train FILE).")
    rows = max(RECORDS * case.most // 2000, 500)
    return privacy(case.raw(case.train), case.raw(case.x), case.raw(case.fake), rows=rows, seed=case.seed)


MEASURES: tuple[Measure, ...] = (
    Measure(
        "c2st", "classifier", ALL,
        lambda case: on_features(case, c2st, classifiers=["logistic"] if case.quick or case.width > BOOSTED else ["logistic", "boosting"]),
        "near 0.5",
        "A classifier is trained to tell samples from real rows and judged on others. An AUC near 0.5 is guessing: it cannot. Near 1 it "
        "always can, by whatever detail gives them away.",
    ),
    Measure(
        "mmd", "MMD²", ALL,
        lambda case: on_features(case, mmd, shuffles=200 if case.quick else 500),
        "near its floor",
        "MMD² compares all distances among and between the two sets. p above 0.05: no difference was found with so many rows.",
    ),
    Measure(
        "prdc", "neighbours", ALL,
        lambda case: on_features(case, prdc),
        "near its floor",
        "Precision and density: how many samples lie where real rows lie. Recall and coverage: how much of the real rows the samples reach. "
        "Low recall or coverage beside high precision means that the model leaves kinds of rows out.",
    ),
    Measure(
        "columns", "columns", ("real", "table"),
        lambda case: frames(case, columns),
        "near its floor",
        "Column shapes: how alike each column is by itself, 1 at best, the worst first.",
        most=200,
    ),
    Measure(
        "trends", "pairs of columns", ("real", "table"),
        lambda case: frames(case, trends),
        "near its floor",
        "Pair trends: how alike each two columns go together, 1 at best, the worst first.",
        most=60, least=2,
    ),
    Measure(
        "missingness", "missing cells", ("table",),
        lambda case: frames(case, missingness),
        "near its floor",
        "Missing cells: whether as many are missing, and in the same columns together, 1 at best.",
        most=200,
    ),
    Measure(
        "wasserstein", "Wasserstein distance", ("real",),
        lambda case: on_features(case, wasserstein),
        "near its floor",
        "Wasserstein distance: how far mass must be moved, in standard deviations of the columns, to turn the samples into the real rows.",
    ),
    Measure(
        "divergence", "Jensen–Shannon", ("real", "binary", "levels"),
        lambda case: divergence(*both(case), "js", n=case.most, seed=case.seed, floors=1 if case.quick else 3),
        "near its floor",
        "Jensen–Shannon divergence: from 0 for equal laws to 0.693 for laws with nothing in common.",
        most=8,
    ),
    Measure(
        "frechet", "Fréchet distance", ROWS,
        lambda case: on_features(case, frechet),
        "near its floor",
        "Fréchet distance of means and covariances: 0 for equal ones. It depends on the number of rows and is no FID.",
        most=512,
    ),
    Measure(
        "ndb", "bins", ROWS,
        lambda case: on_features(case, ndb),
        "near its floor",
        "The real rows fall into bins of alike rows; NDB/K is the share of bins that samples hit too often or too seldom, 0.05 by chance.",
        slow=True,
    ),
    Measure(
        "vendi", "Vendi score", ALL,
        lambda case: on_features(case, vendi),
        "near its floor",
        "Vendi score: how many different rows there are in effect. Far below its floor, which is that of real rows: the samples repeat themselves.",
        slow=True,
    ),
    Measure(
        "sequences", "texts", ("tokens",),
        texts,
        "near its floor",
        "Texts: the share of short runs of symbols that are new, that are covered, that repeat, and how long runs are copied from the training. "
        "Good is what real texts that were not learned from have.",
    ),
)  # fmt: skip
PRIVACY: tuple[Measure, ...] = (
    Measure(
        "privacy", "privacy", ALL,
        copying,
        "near its floor",
        "Share nearer to train: of the samples, how many lie nearer to a training row than to an unseen one; 0.5 is clean and 1 is copying. "
        "C_T below −2: the samples crowd around training rows; above 0 they keep away. "
        "Membership AUC: how well somebody who has the samples tells who was in the training; 0.5 is guessing.",
        whole="share nearer to train",
    ),
)  # fmt: skip


def applies(measure: Measure, case: Case) -> str:
    """Why a measure is not asked on these data; nothing where it is."""
    size = case.space.size
    if case.space.kind not in measure.kinds:
        return f"it is for {', '.join(measure.kinds)} examples, and these are {case.space.kind}."
    if size < measure.least:
        return f"it is for at least {measure.least} variables, and there is {size}."
    if measure.most and size > measure.most:
        return f"it is for at most {measure.most} variables, and these rows have {size}."
    return "a quick page leaves it out." if measure.slow and case.quick else ""


def asked(measure: Measure, case: Case) -> Found:
    """One measure on one case. A problem of these data is an answer; a fault of the program is not hidden."""
    if why := applies(measure, case):
        return Found(measure, why=why)
    if len(case.fake) < 10:
        return Found(measure, why=f"only {len(case.fake)} of the drawn rows are whole; at least 10 are needed.")
    try:
        return Found(measure, dict(named(measure.ask(case), measure.name)))
    except Problem as problem:
        return Found(measure, why=str(problem))


def named(answer: Any, name: str) -> Iterator[tuple[str, Estimate]]:
    """Every Estimate in what a measure gave, by name.

    >>> [name for name, _ in named({"a": Estimate("A", 1.0, 0.1), "b": [Estimate("B", 2.0, 0.1)]}, "both")]
    ['a', 'b 0']
    """
    if isinstance(answer, Estimate):
        yield name, answer
    elif isinstance(answer, Scores):
        yield name, answer.overall
        yield from ((f"{name}: {key}", part) for key, part in answer.parts.items())
    elif isinstance(answer, Mapping):
        for key, inner in answer.items():
            yield from named(inner, str(key))
    elif is_dataclass(answer) and not isinstance(answer, type):
        for part in fields(answer):
            yield from named(getattr(answer, part.name), part.name)
    elif isinstance(answer, list | tuple):
        for i, inner in enumerate(answer):
            yield from named(inner, f"{name} {i}")


def line(label: str, one: Estimate, good: str) -> dict[str, Any]:
    """An estimate as a row of a table."""
    value, error = measured(one.value, one.stderr)
    floor = one.floor if one.floor is None else float(f"{one.floor:.3g}")
    p = None if one.p_value is None else f"{one.p_value:.2g}" if one.p_value >= 1e-4 else "< 0.0001"
    sizes = " and ".join(f"{n:,}" for n in one.n) or None
    return {"measure": label, "value": value, "±": error, "floor": floor, "good is": good, "p": p, "n": sizes}
