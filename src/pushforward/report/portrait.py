"""The pictures of one fitted model, chosen by the kind of its examples and by what it can."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import Problem
from . import page, pictures

SIDE = 96  # cells of a density map along an axis
SHOWN = 36  # images of a sheet
FILLED = 12  # images that are completed, which may cost many evaluations each


def portrait(model: Any, real: Any, seed: int = 0) -> list[str]:
    """Figures of a model beside real examples (of the kind that came in), as HTML for `Page.row`."""
    draw = {"table": of_table, "tokens": of_text}.get(
        model.space.kind, of_images if len(model.space.shape) == 3 else of_vectors
    )
    figures = draw(model, real, seed)
    trained = pictures.curve(getattr(model, "history_", []))
    if trained is not None:
        said = (
            "Training. In a game the sum of the players' losses need not fall."
            if model.players
            else "Training, in nats: less is better."
        )
        figures.append(page.picture(trained, "Training curve", said, 280))
    return figures


def of_vectors(model: Any, real: Any, seed: int) -> list[str]:
    import pandas as pd

    points = model.space.read(real).flatten(1).double().numpy()
    drawn = model.space.read(model.sample(min(len(points), 2000), seed=seed)).flatten(1).double().numpy()
    if points.shape[1] != 2 or model.space.kind != "real":
        names = list(model.space.names) or [f"x{j + 1}" for j in range(points.shape[1])]
        return [compared(pd.DataFrame(points, columns=names), pd.DataFrame(drawn, columns=names))]
    frame = pictures.frame_of(points)
    figures = [
        page.picture(pictures.plane(points[:2000], frame), "Scatter of the data", "Data.", 220),
        page.picture(
            pictures.plane(drawn, frame, pictures.DRAWN),
            "Scatter of samples",
            f"{len(drawn):,} samples of the model.",
            220,
        ),
    ]
    return figures + density(model, frame)


def density(model: Any, frame: tuple[float, float, float, float]) -> list[str]:
    """The density on a grid. In the plane even an energy can be normalised: by the sum over the cells."""
    way = next((way for way in ("log_prob", "bound", "energy") if way in model.abilities), None)
    if way is None:
        return []
    cells, area = pictures.grid_of(frame, SIDE)
    x = cells.astype(model.space.dtype if model.space.form != "tensor" else "float32")
    logs = np.asarray(getattr(model, way)(x), dtype=np.float64) * (-1 if way == "energy" else 1)
    values = np.exp(logs - logs.max())
    inside = float(np.exp(logs).sum() * area) if way != "energy" else 1.0
    said = {
        "log_prob": f"Its density, exact; {100 * inside:.0f} % of its mass is in this frame.",
        "bound": "A lower bound of its density, on average over draws.",
        "energy": "exp(−energy), normalised over this frame.",
    }[way]
    return [page.picture(pictures.density(values.reshape(SIDE, SIDE), frame), "Density map", said, 220)]


def of_images(model: Any, real: Any, seed: int) -> list[str]:
    data = model.space.read(real).double().numpy()[:SHOWN]
    top = float(max(model.space.levels - 1, 1)) if model.space.kind != "real" else float(max(data.max(), 1e-6))
    drawn = model.space.read(model.sample(SHOWN, seed=seed)).double().numpy()
    lost: list[str] = []
    sheets = [("Images of the data", "Data.", data), ("Images drawn by the model", "Samples of the model.", drawn)]
    if "complete" in model.abilities:
        half = np.ones(model.space.shape, dtype=bool)
        half[:, model.space.shape[1] // 2 :] = False
        few = model.space.read(real)[:FILLED]
        said = f"The upper half given, the lower filled in ({model.abilities['complete']})."
        try:
            filled = model.complete(few, known=half[None].repeat(len(few), 0), seed=seed)
            sheets.append(("Completed images", said, filled.double().cpu().numpy()))
        except Problem as problem:  # of these examples; the other pictures stand
            lost.append(
                page.quotes([str(problem)], "The upper half given, there is nothing to fill in the lower with.")
            )
    shown = [
        page.picture(pictures.tiles(images, top, columns=6, width=480), alt, said, 220) for alt, said, images in sheets
    ]
    return shown + lost


def of_table(model: Any, real: Any, seed: int) -> list[str]:
    drawn = model.sample(len(real), seed=seed)
    return [
        compared(real, drawn),
        page.figure(page.table(rows_of(real)), "Rows of the data."),
        page.figure(page.table(rows_of(drawn)), "Rows drawn by the model."),
    ]


def compared(real: Any, drawn: Any) -> str:
    across = min(4, len(real.columns))
    return page.picture(
        pictures.columns(real, drawn),
        "Columns of data and samples",
        "Columns: data in blue, samples in vermilion.",
        190 * across,
    )


def rows_of(frame: Any, most: int = 6) -> list[dict[str, Any]]:
    import pandas as pd

    few = frame.head(most)
    shown = {
        name: few[name].dt.strftime("%Y-%m-%d") if pd.api.types.is_datetime64_any_dtype(few[name].dtype) else few[name]
        for name in list(few.columns)[:10]
    }
    return [
        {
            name: None
            if pd.isna(value)
            else value
            if isinstance(value, int | float | bool | str)
            else value.item()
            if hasattr(value, "item")
            else str(value)
            for name, value in row.items()
        }
        for row in pd.DataFrame(shown).to_dict("records")
    ]


def of_text(model: Any, real: Any, seed: int) -> list[str]:
    lines, drawn = [written(x) for x in real[:6]], [written(x) for x in model.sample(8, seed=seed)]
    figures = [page.quotes(lines, "Data."), page.quotes(drawn, "Samples of the model.")]
    if "complete" in model.abilities and model.space.form == "text":
        prompts = [line[: max(1, len(line) // 3)] for line in real[:6]]
        filled = model.complete(prompts, seed=seed)
        texts = [f"{prompt} ⟶ {whole[len(prompt) :]}" for prompt, whole in zip(prompts, filled, strict=True)]
        figures.append(page.quotes(texts, f"A beginning given, the rest filled in ({model.abilities['complete']})."))
    return figures


def written(line: Any) -> str:
    """A text, or symbols of a text of bytes."""
    return (
        line if isinstance(line, str) else bytes(int(b) for b in line if 0 <= int(b) < 256).decode("utf-8", "replace")
    )
