"""Pictures of data and samples as PNG bytes, on a transparent ground so that they fit a light and a dark page.

Two colours that the colour-blind tell apart (Okabe and Ito 2008): blue for the data, vermilion for what a model drew.
Drawn by Agg without pyplot, so no window, no display and no state of the process are touched.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

DATA, DRAWN, NEUTRAL = "#0072B2", "#D55E00", "#7a7f87"
FILLED = "#4F9FD6"  # a lighter blue for areas, seen on white and on black
DENSITY = "cividis"  # even in lightness, and seen alike by the colour-blind
DOTS = 160  # per inch: sharp on a screen of double density


def canvas(width: float, height: float, columns: int = 1, rows: int = 1) -> tuple[Any, list[Any]]:
    """A figure and its axes, all in greys that are read on white and on black."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=DOTS, layout="constrained")
    FigureCanvasAgg(figure)
    figure.patch.set_alpha(0)
    axes = [figure.add_subplot(rows, columns, i + 1) for i in range(rows * columns)]
    for axis in axes:
        axis.patch.set_alpha(0)
        axis.tick_params(colors=NEUTRAL, labelsize=7, length=2)
        for name, spine in axis.spines.items():
            spine.set_color(NEUTRAL)
            spine.set_linewidth(0.6)
            spine.set_visible(name in ("left", "bottom"))
    return figure, axes


def png(figure: Any) -> bytes:
    out = io.BytesIO()
    figure.savefig(out, format="png", transparent=True)
    return out.getvalue()


def frame_of(points: np.ndarray, margin: float = 0.15) -> tuple[float, float, float, float]:
    """(left, right, bottom, top) of a square around points in the plane, far outliers left out."""
    points = points[np.isfinite(points).all(1)]
    low, high = np.quantile(points, 0.002, axis=0), np.quantile(points, 0.998, axis=0)
    middle, half = (low + high) / 2, max(float((high - low).max()) / 2, 1e-6) * (1 + 2 * margin)
    return middle[0] - half, middle[0] + half, middle[1] - half, middle[1] + half


def plane(points: np.ndarray, frame: tuple[float, float, float, float], colour: str = DATA) -> bytes:
    """Points in the plane (N, 2)."""
    figure, (axis,) = canvas(2.6, 2.6)
    axis.scatter(points[:, 0], points[:, 1], s=3, color=colour, alpha=0.55, linewidths=0)
    return framed(figure, axis, frame)


def density(values: np.ndarray, frame: tuple[float, float, float, float]) -> bytes:
    """A density on a grid (rows from the bottom, columns from the left)."""
    figure, (axis,) = canvas(2.6, 2.6)
    shown = np.nan_to_num(values, nan=0.0, posinf=0.0)
    top = np.quantile(shown[shown > 0], 0.995) if (shown > 0).any() else 1.0
    axis.imshow(
        shown, origin="lower", extent=frame, cmap=DENSITY, vmin=0, vmax=top, interpolation="bilinear", aspect="auto"
    )
    return framed(figure, axis, frame)


def framed(figure: Any, axis: Any, frame: tuple[float, float, float, float]) -> bytes:
    axis.set(xlim=frame[:2], ylim=frame[2:], box_aspect=1)
    return png(figure)


def grid_of(frame: tuple[float, float, float, float], side: int) -> tuple[np.ndarray, float]:
    """The centres (side², 2) of the cells of a frame, row by row from the bottom, and the area of a cell."""
    x, y = (low + (np.arange(side) + 0.5) * (high - low) / side for low, high in (frame[:2], frame[2:]))
    area = (frame[1] - frame[0]) * (frame[3] - frame[2]) / side**2
    return np.stack(np.meshgrid(x, y), -1).reshape(-1, 2), area


def bytes_of(images: np.ndarray, top: float) -> np.ndarray:
    """Images (N, C, H, W) of values 0 … top -> bytes (N, H, W, 3)."""
    share = np.clip(np.nan_to_num(np.asarray(images, dtype=np.float64)) / max(top, 1e-12), 0, 1)
    shown = (share * 255).round().astype(np.uint8).transpose(0, 2, 3, 1)
    return np.repeat(shown, 3, axis=3) if shown.shape[3] == 1 else shown[..., :3]


def tiles(images: np.ndarray, top: float, columns: int = 0, width: int = 640) -> bytes:
    """Images (N, C, H, W) of values 0 … top in a grid; small ones are enlarged by a whole factor, without smoothing."""
    from PIL import Image

    shown = bytes_of(images, top)
    n, height, side = shown.shape[:3]
    columns = columns or max(1, math.ceil(math.sqrt(n)))
    rows = -(-n // columns)
    factor = max(1, width // (columns * side))
    gap = max(1, factor // 2)
    sheet = np.zeros(
        (rows * (height * factor + gap) - gap, columns * (side * factor + gap) - gap, 4), np.uint8
    )  # gaps stay transparent
    for i, image in enumerate(shown):
        top_, left = (i // columns) * (height * factor + gap), (i % columns) * (side * factor + gap)
        big = image.repeat(factor, 0).repeat(factor, 1)
        sheet[top_ : top_ + len(big), left : left + big.shape[1], :3] = big
        sheet[top_ : top_ + len(big), left : left + big.shape[1], 3] = 255
    out = io.BytesIO()
    Image.fromarray(sheet).save(out, "PNG", optimize=True)
    return out.getvalue()


def columns(real: Any, drawn: Any, most: int = 12) -> bytes:
    """The columns of two tables, one small picture each: bars for labels, outlines for numbers; missing cells are a bar of their own."""
    names = list(real.columns)[:most]
    across = min(4, len(names))
    down = -(-len(names) // across)
    figure, axes = canvas(1.9 * across, 1.55 * down, across, down)
    for axis, name in zip(axes, names, strict=False):
        column(axis, real[name], drawn[name])
        axis.set_title(shortened(name, 24) + gaps(real[name], drawn[name]), fontsize=8, color=NEUTRAL)
        axis.set_yticks([])
        axis.spines["left"].set_visible(False)
    for axis in axes[len(names) :]:
        axis.set_visible(False)
    return png(figure)


def gaps(real: Any, drawn: Any) -> str:
    """The share of missing cells in data and samples, where there are any and no bar shows it."""
    a, b = float(real.isna().mean()), float(drawn.isna().mean())
    return f" ({a:.0%} and {b:.0%} missing)" if (a or b) and outlined(real) else ""


def outlined(cells: Any) -> bool:
    """Whether a column is drawn as an outline, not as bars."""
    import pandas as pd

    number = pd.api.types.is_numeric_dtype(cells.dtype) and not pd.api.types.is_bool_dtype(cells.dtype)
    return bool(pd.api.types.is_datetime64_any_dtype(cells.dtype) or (number and cells.nunique() > 12))


def column(axis: Any, real: Any, drawn: Any) -> None:
    import pandas as pd

    if outlined(real):
        return outlines(axis, numbers(real), numbers(drawn))
    labels = [str(v) for v in real.dropna().value_counts().index[:8]]
    if not isinstance(real.dtype, pd.CategoricalDtype) and pd.api.types.is_numeric_dtype(real.dtype):
        labels = [str(v) for v in sorted(real.dropna().unique())[:12]]
    elif isinstance(real.dtype, pd.CategoricalDtype) and real.cat.ordered:
        labels = [str(v) for v in real.cat.categories[:12]]
    rows = [*labels, *(["missing"] if real.isna().any() or drawn.isna().any() else [])]
    for shift, cells, colour in ((-0.2, real, DATA), (0.2, drawn, DRAWN)):
        text = cells.astype(object).where(cells.notna(), "missing").map(str)
        shares = text.value_counts(normalize=True)
        axis.bar(np.arange(len(rows)) + shift, [float(shares.get(label, 0.0)) for label in rows], 0.4, color=colour)
    axis.set_xticks(
        range(len(rows)), [shortened(label, 8) for label in rows], fontsize=6, rotation=30 if len(rows) > 4 else 0
    )


def numbers(cells: Any) -> Any:
    import pandas as pd

    if not pd.api.types.is_datetime64_any_dtype(cells.dtype):
        return pd.to_numeric(cells, errors="coerce").dropna().to_numpy(dtype=np.float64)
    days = cells.dropna()
    naive = days.dt.tz_convert("UTC").dt.tz_localize(None) if getattr(days.dt, "tz", None) is not None else days
    return naive.to_numpy().astype("datetime64[D]").astype(np.int64) / 365.2425 + 1970  # years


def outlines(axis: Any, real: np.ndarray, drawn: np.ndarray) -> None:
    low, high = np.quantile(real, [0.002, 0.998]) if len(real) else (0.0, 1.0)
    edges = np.linspace(low, high if high > low else low + 1, 31)
    axis.hist(np.clip(real, low, high), edges, density=True, color=FILLED, alpha=0.8)
    if len(drawn):
        axis.hist(np.clip(drawn, low, high), edges, density=True, histtype="step", color=DRAWN, linewidth=1.4)
    axis.locator_params(axis="x", nbins=4)


def shortened(text: Any, most: int) -> str:
    """A name of the data as a label: its dollars are no formula."""
    text = str(text)
    return (text if len(text) <= most else text[: most - 1] + "…").replace("$", r"\$")


def curve(entries: Sequence[dict[str, Any]]) -> bytes | None:
    """The held-out nats over the steps of a training, in the units of the data, and the loss with an axis of its own, since it is
    in the units of the model; None where there is nothing to draw.
    """
    found = {
        name: [(e["step"], e[name]) for e in entries if name in e and np.isfinite(e[name])]
        for name in ("valid", "loss")
    }
    drawn = [name for name, points in found.items() if len(points) > 1]
    if not drawn:
        return None
    figure, (axis,) = canvas(3.6, 2.2)
    axis.set_xlabel("step", fontsize=7, color=NEUTRAL)
    for name in drawn:
        colour, label = (DATA, "−log p, held out") if name == "valid" else (NEUTRAL, "loss")
        side = axis if name == drawn[0] else axis.twinx()
        steps, values = np.array(found[name]).T
        side.plot(steps, values, color=colour, linewidth=1.6 if name == "valid" else 0.8)
        low, high = values.min(), np.quantile(values, 0.96)  # the first steps may tower over the rest
        side.set_ylim(low - 0.06 * (high - low + 1e-9), high + 0.06 * (high - low + 1e-9))
        side.set_ylabel(label, fontsize=7, color=colour)
        side.tick_params(axis="y", colors=colour, labelsize=7, length=2)
        for place, spine in side.spines.items():
            spine.set_visible(place == ("left" if side is axis else "right") or (place == "bottom" and side is axis))
            spine.set_linewidth(0.6)
            spine.set_color(NEUTRAL if place == "bottom" else colour)
    return png(figure)
