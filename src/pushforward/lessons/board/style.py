"""How the figures of the lessons look: colours that the colour-blind tell apart (Okabe and Ito 2008), type that is read from the last row."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

INK, GREY = "#1c1e21", "#7a7f87"
BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY = "#0072B2", "#D55E00", "#009E73", "#E69F00", "#CC79A7", "#56B4E9"
LOOK: dict[Any, Any] = {
    "font.size": 12.0,
    "axes.titlesize": 13.0,
    "axes.labelsize": 12.0,
    "legend.fontsize": 10.5,
    "legend.frameon": False,
    "lines.linewidth": 2.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.linewidth": 0.9,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "text.color": INK,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "mathtext.fontset": "cm",
    "svg.fonttype": "path",
    "svg.hashsalt": "pushforward",  # the same figure, the same file
}
DOTS = 200  # per inch, of the PNG


def canvas(rows: int, columns: int, width: float, height: float, **options: Any) -> tuple[Any, Any]:
    """A figure and its axes, drawn without pyplot: no window and no state of the process."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with matplotlib.rc_context(LOOK):
        figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
        FigureCanvasAgg(figure)
        return figure, figure.subplots(rows, columns, squeeze=False, **options)


def write(figure: Any, path: Path) -> list[Path]:
    """PATH.svg and PATH.png, each whole or not there."""
    import matplotlib

    path.parent.mkdir(parents=True, exist_ok=True)
    written = []
    with matplotlib.rc_context(LOOK):
        for kind, metadata in (("svg", {"Date": None}), ("png", {"Software": None})):
            place, part = path.with_name(f"{path.name}.{kind}"), path.with_name(f".{path.name}.{kind}.part")
            figure.savefig(part, format=kind, dpi=DOTS, metadata=metadata)
            os.replace(part, place)
            written.append(place)
    return written
