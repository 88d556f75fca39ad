"""Samples beside real rows, both chosen by the seed and not by looks; and the training rows that are nearest to some samples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ... import noise
from ...space.columns import UNITS
from .. import overlays, page, pictures
from ..case import WIDE, Case
from ..portrait import density, rows_of, written

SHOWN = 36  # images of a sheet
QUOTED = 8  # texts
ROWS = 6  # rows of a table
COLUMNS = 24  # columns that are drawn before the fold
WIDEST, HASTY = 120, 48  # columns that are drawn at all; of a quick page
NEIGHBOURS, SAMPLES = 3, 6  # of each of so many samples
GRID = 400  # points of a density on the line
LETTERS = 24  # symbols whose shares are drawn


def looks(case: Case, sheet: page.Page) -> dict[str, Any]:
    """Pictures by the kind of the rows."""
    sheet.section("Samples beside real rows", "samples").meaning(
        "What the model draws, beside what it should look like. Both are chosen at random by the seed, none by hand. "
        "Good: you could not tell which is which, and the samples differ among themselves as much as the real rows do."
    )
    if case.draw is None:
        why = str(case.model.reason("sample"))
        sheet.text(f"There are none: {why}")
        if case.space.kind == "real" and case.space.size == 2:
            sheet.row(plane(case, None))
        return {"not_known": why}
    facts = {"drawn": len(case.fake) + case.broken, "not_whole": case.broken, "seed": case.seed}
    if case.broken:
        sheet.care(
            f"{case.broken:,} of {len(case.fake) + case.broken:,} drawn rows hold NaN, infinity or a value that the data cannot have. "
            "They are set aside in all that follows, so the rest looks better than the model is."
        )
    if len(case.fake) == 0:
        sheet.text("No drawn row is whole, so there is nothing to show.")
        return facts
    chosen = {"table": of_table, "tokens": of_text}.get(case.space.kind, of_images if case.picture else of_vectors)
    chosen(case, sheet)
    return facts


def shuffled(x: Tensor, most: int, seed: int, use: int) -> Tensor:
    """A few rows in a random order."""
    with noise.stream(noise.mix(seed, use)):
        return x[noise.permutation(len(x))[:most]]


# ---- numbers and tables --------------------------------------------------------------------------------------------------
def of_vectors(case: Case, sheet: page.Page) -> None:
    real = case.space.kind == "real"
    if real and case.space.size == 1:
        sheet.row([on_a_line(case)])
    elif real and case.space.size == 2:
        sheet.row(plane(case, case.fake))
    elif real:
        paired(case, sheet, list(range(case.space.size)))
    if not (real and case.space.size == 1):
        drawn_columns(case, sheet)


def on_a_line(case: Case) -> str:
    x, fake = case.x.flatten().double().numpy(), case.fake.flatten().double().numpy()
    at = np.linspace(*overlays.limits(x, 0.02), GRID)
    height, said = None, ""
    if "log_prob" in case.model.abilities and case.given is None:
        with torch.no_grad():
            height = np.exp(
                case.model.log_prob(torch.as_tensor(at, dtype=case.x.dtype)[:, None]).double().cpu().numpy()
            )
        said = " The grey line is its density, exact."
    png = overlays.line(x, fake, at, height, case.labels[0])
    words = f"Data in blue, {len(fake):,} samples as the vermilion outline.{said}"
    return page.picture(png, f"Histograms of {case.labels[0]}. {words}", words, 520)


def plane(case: Case, fake: Tensor | None) -> list[str]:
    """Scatters of data and samples, and the density where the model has one."""
    points = case.real.flatten(1).double().numpy()
    frame = pictures.frame_of(points)
    words = f"{len(points[:2000]):,} rows of the data."
    figures = [page.picture(pictures.plane(points[:2000], frame), f"Scatter of the data: {words}", words, 260)]
    if fake is not None:
        drawn = fake.flatten(1).double().numpy()[:2000]
        out = float(((drawn < np.array(frame)[[0, 2]]) | (drawn > np.array(frame)[[1, 3]])).any(1).mean())
        words = f"{len(drawn):,} samples of the model." + (f" {100 * out:.2g} % lie outside the frame." if out else "")
        png = pictures.plane(drawn, frame, pictures.DRAWN)
        figures.append(page.picture(png, f"Scatter of samples, in the frame of the data: {words}", words, 260))
    return figures + (density(case.model, frame) if case.given is None else [])


def paired(case: Case, sheet: page.Page, columns: Sequence[int]) -> None:
    """The pairs of columns that depend most on one another, data and samples laid over one another."""
    if len(columns) < 2:
        return
    real, fake = (plotted(case, x)[:, list(columns)] for x in (case.real, case.fake))
    few = overlays.strongest(real)
    names = [case.labels[columns[j]] for j in few]
    sheet.part("Pairs of columns")
    rest = f"; the {len(few)} of {len(columns)} that depend most on one another" if len(few) < len(columns) else ""
    words = f"Data in blue, samples in vermilion{rest}. Good: both lie on one another."
    png = overlays.pairs(real[:, few], fake[:, few], names)
    sheet.row([page.picture(png, f"Pair plot of {', '.join(names)}. {words}", words, 130 * len(few) + 60)])


def plotted(case: Case, x: Tensor) -> np.ndarray:
    """Rows as numbers (N, D), dates in years."""
    values = x.flatten(1).double().numpy().copy()
    for j, c in enumerate(case.space.columns):
        if c.kind == "date":
            values[:, j] = 1970 + (values[:, j] + c.base) * UNITS[c.unit] / (UNITS["D"] * 365.2425)
    return values


def of_table(case: Case, sheet: page.Page) -> None:
    real, fake = (case.raw(shuffled(x, ROWS, case.seed, 7)) for x in (case.real, case.fake))
    d = len(case.labels)
    which = f" The first 10 of {d} columns." if d > 10 else ""
    parts = ((real, "Real rows."), (fake, "Drawn rows."))
    figures = [page.figure(page.table(rows_of(part)), f"{words}{which}") for part, words in parts]
    sheet.row(figures)
    paired(case, sheet, [j for j, c in enumerate(case.space.columns) if not c.discrete])
    drawn_columns(case, sheet)


def drawn_columns(case: Case, sheet: page.Page) -> None:
    """Every column of data and samples: bars of labels, outlines of numbers."""
    real, fake = case.frame(case.real), case.frame(case.fake)
    names = list(real.columns)[: HASTY if case.quick else WIDEST]
    sheet.part("Column by column")
    lost = len(real.columns) - len(names)
    sheet.text(
        f"Data in blue, samples in vermilion{f'; {lost:,} more columns are not drawn' if lost > 0 else ''}. Good: both have one height everywhere.",
        soft=True,
    )
    sheets = [names[i : i + COLUMNS] for i in range(0, len(names), COLUMNS)]
    figures = [
        page.picture(pictures.columns(real[part], fake[part], COLUMNS), alt(part), "", 190 * min(4, len(part)))
        for part in sheets
    ]
    sheet.row(figures[:1])
    if figures[1:]:
        sheet.fold(f"{len(names) - COLUMNS} more columns", figures[1:])


def alt(names: Sequence[Any]) -> str:
    return f"Histograms of data and samples, a small picture for each of: {', '.join(map(str, names))}"


# ---- images and texts ----------------------------------------------------------------------------------------------------
def brightness(case: Case) -> float:
    """The value that is drawn white: the brightest of the real images."""
    return max(float(case.real.double().max()), 1e-6)


def of_images(case: Case, sheet: page.Page) -> None:
    figures = []
    for x, words in ((case.real, "Real images."), (case.fake, "Images that the model drew.")):
        png = pictures.tiles(shuffled(x, SHOWN, case.seed, 7).double().numpy(), brightness(case), columns=6, width=640)
        figures.append(page.picture(png, f"{words} {min(len(x), SHOWN)} of them in rows of six", words, 320))
    sheet.row(figures)


def of_text(case: Case, sheet: page.Page) -> None:
    real, fake = ([written(x) for x in case.raw(shuffled(x, QUOTED, case.seed, 7))] for x in (case.real, case.fake))
    sheet.row([page.quotes(real, "Real texts."), page.quotes(fake, "Texts that the model wrote.")])
    shares = [Counter("".join(written(line) for line in case.raw(x))) for x in (case.real, case.fake)]
    names = [symbol for symbol, _ in shares[0].most_common(LETTERS)]
    heights = [[one[symbol] / max(one.total(), 1) for symbol in names] for one in shares]
    shown = [{" ": "␣", "\n": "⏎", "\t": "⇥"}.get(symbol, symbol) for symbol in names]
    words = f"The {len(names)} most frequent symbols: data in blue, samples in vermilion. Good: bars of one height."
    sheet.row(
        [page.picture(overlays.symbols(heights[0], heights[1], shown), f"Shares of symbols. {words}", words, 520)]
    )


# ---- neighbours ----------------------------------------------------------------------------------------------------------
def neighbours(case: Case, sheet: page.Page) -> dict[str, Any]:
    """Some samples, and the rows of the training that are nearest to each."""
    sheet.section("Nearest training rows", "neighbours").meaning(
        "Each of a few samples, and the training rows nearest to it. Good: alike in kind and different in detail, about as far away as a real "
        "row that the model has not seen. A sample that repeats a training row is a copy, not a new row."
    )
    if case.train is None or case.draw is None or len(case.fake) == 0:
        why = "no training rows were passed (--train FILE)" if case.train is None else "there are no samples"
        sheet.text(f"Not known: {why}.")
        return {"not_known": why}
    look = case.scaler(case.train)
    pool = case.train[case.chosen(len(case.train), max(min(10 * case.most, WIDE // case.width), 100), "train")]
    shelf = look(pool)
    samples = shuffled(case.fake, SAMPLES, case.seed, 8)
    away, which = torch.cdist(look(samples), shelf).topk(min(NEIGHBOURS, len(pool)), largest=False)
    usual = torch.cdist(look(shuffled(case.real, 200, case.seed, 9)), shelf).amin(1)
    typical = float(usual.median())
    shown = of_pictures if case.picture else in_words
    sheet.row(shown(case, samples, pool, away, which))
    sheet.text(
        f"Half of the real rows are nearer to a training row than {typical:.3g}; the samples shown are "
        f"{float(away[:, 0].min()):.3g} to {float(away[:, 0].max()):.3g} away from theirs"
        f"{f' ({len(pool):,} of {len(case.train):,} training rows searched)' if len(pool) < len(case.train) else ''}.",
        soft=True,
    )
    return {"nearest": away[:, 0].tolist(), "typical_of_real_rows": typical, "searched": len(pool)}


def of_pictures(case: Case, samples: Tensor, pool: Tensor, away: Tensor, which: Tensor) -> list[str]:
    """A row for each sample: itself, then its neighbours."""
    rows = torch.cat([torch.cat([x[None], pool[near]]) for x, near in zip(samples, which, strict=True)])
    png = pictures.tiles(rows.double().numpy(), brightness(case), columns=1 + which.shape[1], width=320)
    words = f"Left: samples. Right of each: the {which.shape[1]} nearest training images."
    return [page.picture(png, words, words, 240)]


def in_words(case: Case, samples: Tensor, pool: Tensor, away: Tensor, which: Tensor) -> list[str]:
    """Each sample above its nearest neighbour."""
    nearest = pool[which[:, 0]]
    if case.space.kind == "tokens":
        pairs = zip(map(written, case.raw(samples)), map(written, case.raw(nearest)), strict=True)
        return [
            page.quotes(
                [f"sample:  {a}\nnearest: {b}" for a, b in pairs], "A sample, and the training text nearest to it."
            )
        ]
    both = case.frame(torch.stack([samples, nearest], 1).flatten(0, 1))
    rows = rows_of(both, 2 * len(samples))
    far = [f"{d:.3g}" for d in away[:, 0].tolist()]
    marked = [
        {"this is": "its nearest" if i % 2 else "a sample", "distance": far[i // 2] if i % 2 else None} | row
        for i, row in enumerate(rows)
    ]
    return [
        page.figure(
            page.table(marked, caption="Samples and their nearest training rows"),
            "A sample, and below it the training row nearest to it.",
        )
    ]
