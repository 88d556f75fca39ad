"""What the description of a space in a saved card must be: a card can be made by anybody, and what it says decides sizes and types.

A wrong description is an error here, so that nothing behind it has to doubt a space.
"""

from __future__ import annotations

import re
from dataclasses import fields
from math import isfinite, prod
from typing import Any

import numpy as np

from ..errors import BadData, BadFile
from .columns import UNITS, Column, restore

WORDS = {
    "kind": ("real", "binary", "levels", "tokens", "table"),
    "form": ("array", "tensor", "frame", "text", "bytes"),
    "layout": ("flat", "hw", "hwc", "chw"),
}
COLUMN = tuple(field.name for field in fields(Column))
CELLS = ("number", "integer", "category", "ordinal", "boolean", "date")
CODES = ("category", "ordinal", "boolean")
TYPE = re.compile(r"[A-Za-z0-9_\[\]()<>=|,.:;/+ -]{1,200}")  # of a column, as pandas writes it


def check_space(card: Any, known: tuple[str, ...]) -> None:
    """The parts of a space, which are `known`, each by itself and then together."""
    keys("a space", card, known, ("kind", "shape"))
    for name, words in WORDS.items():
        if card.get(name, words[0]) not in words:
            raise wrong(name, card[name], f"one of {', '.join(words)}")
    shape = card["shape"]
    if not (
        isinstance(shape, list) and 1 <= len(shape) <= 16 and all(type(n) is int and 0 < n < 1 << 62 for n in shape)
    ):
        raise wrong("shape", shape, "a list of whole numbers of at least 1")
    if prod(shape) >= 1 << 62:
        raise wrong("shape", shape, "fewer variables than 2^62")
    for name, least in (("levels", 0), ("end", -1)):
        value = card.get(name, least)
        if type(value) is not int or not least <= value < 1 << 53:
            raise wrong(name, value, f"a whole number of at least {least}")
    for name in ("names", "alphabet"):
        words = card.get(name, [])
        if not (isinstance(words, list) and all(type(word) is str for word in words) and len(set(words)) == len(words)):
            raise wrong(name, words, "a list of different words")
    if type(card.get("dtype", "")) is not str or not numeric(card.get("dtype", "float32")):
        raise wrong("dtype", card["dtype"], "a type of numbers, such as float32")
    if type(card.get("far", False)) is not bool:
        raise wrong("far", card["far"], "true or false")
    check_fixed(card.get("fixed", []), shape)
    columns = card.get("columns", [])
    if not isinstance(columns, list):
        raise wrong("columns", columns, "a list of columns")
    for column in columns:
        check_column(column)
    check_whole(card["kind"], card, columns)


def check_fixed(fixed: Any, shape: list) -> None:
    """(variable, value) of variables of a vector that never vary; one at least is left that does."""
    good = isinstance(fixed, list) and (not fixed or len(shape) == 1) and len(fixed) <= shape[0]
    if not (good and all(pair(one, shape[0]) for one in fixed) and len({j for j, _ in fixed}) == len(fixed)):
        raise wrong("fixed", fixed, "a list of pairs, a variable and its finite value")


def pair(one: Any, size: int) -> bool:
    """A variable and the number that it always is."""
    if not (isinstance(one, list) and len(one) == 2 and type(one[0]) is int and 0 <= one[0] < size):
        return False
    return type(one[1]) in (int, float) and abs(one[1]) < 1 << 1024 and isfinite(one[1])


def check_whole(kind: str, card: dict, columns: list) -> None:
    """What the parts owe one another."""
    shape, names, levels = card["shape"], card.get("names", []), card.get("levels", 0)
    layout, form, end, alphabet = (card.get(key) for key in ("layout", "form", "end", "alphabet"))
    if names and len(names) != shape[0]:
        raise wrong("names", names, f"as many as the shape {shape} says")
    if kind == "table" and not (
        len(shape) == 1 == len(names) / max(len(columns), 1) and [c["name"] for c in columns] == names
    ):
        raise wrong(
            "columns", [c["name"] for c in columns], f"one for each of the names {shorten(names)}, in their order"
        )
    words = next((c["name"] for c in columns if any(type(v) is str for v in c.get("categories", []))), None)
    if kind == "table" and form != "frame" and words is not None:
        raise wrong("form", form, f"frame, since the column {shorten(words)} holds words")
    if kind in ("levels", "tokens") and levels < 1:
        raise wrong("levels", levels, "at least 1")
    if kind == "tokens":
        end = -1 if end is None else end
        if len(shape) != 1 or end >= levels or (alphabet and len(alphabet) != levels - (end >= 0)):
            raise wrong("alphabet", alphabet, f"a symbol for each of {levels} tokens, and one length")
    if form == "text" and (kind != "tokens" or not alphabet):
        raise wrong("form", form, "tokens with an alphabet")
    if form == "frame" and (len(shape) != 1 or not names):
        raise wrong("form", form, "one name for each variable")
    if layout not in (None, "flat") and (len(shape) != 3 or (layout == "hw" and shape[0] != 1)):
        raise wrong("layout", layout, f"an image of three axes; the shape is {shape}")


def check_column(card: Any) -> None:
    keys("a column", card, COLUMN, ("name", "kind"))
    if type(card["name"]) is not str or card["kind"] not in CELLS:
        raise wrong("a column", card["name"], f"a name, and a kind of {', '.join(CELLS)}")
    dtype = card.get("dtype", "object")
    # pandas takes the name of a file for a zone where it stands behind "dateutil/", and reads it.
    if not (type(dtype) is str and TYPE.fullmatch(dtype)) or "dateutil" in dtype or ".." in dtype:
        raise wrong("dtype", card["dtype"], "the name of a type of pandas")
    categories = card.get("categories", [])
    if not (isinstance(categories, list) and all(type(c) in (str, int, float, bool) for c in categories)):
        raise wrong("categories", categories, "a list of words and numbers")
    if len({(type(c), c) for c in categories}) < len(categories) or any(c != c for c in categories):
        raise wrong("categories", categories, "different ones")
    if type(card.get("missing", False)) is not bool:
        raise wrong("missing", card["missing"], "true or false")
    if card["kind"] in CODES and not (categories or card.get("missing", False)):
        raise wrong("categories", categories, "at least one, or missing cells")
    low, high, step = (card.get(key, default) for key, default in (("low", -1e308), ("high", 1e308), ("step", 0.0)))
    if (
        not all(type(n) in (int, float) and abs(n) < 1e309 and isfinite(n) for n in (low, high, step))
        or low > high
        or step < 0
    ):
        raise wrong("low, high, step", [low, high, step], "finite numbers, low not above high, step at least 0")
    unit, base = card.get("unit", ""), card.get("base", 0)
    if (
        unit not in ("", *UNITS)
        or (card["kind"] == "date" and not unit)
        or (unit and card["kind"] not in ("date", "integer"))
    ):
        raise wrong("unit", unit, "D, s, us or ns for a date or a duration, and none for the others")
    if type(base) is not int or abs(base) >= 1 << 64 or (base and card["kind"] not in ("date", "integer")):
        raise wrong("base", base, "a whole number below 2^64, of dates and whole numbers alone")


def restored(column: Column, values: np.ndarray) -> Any:
    """A column of the type that came in. What fit wrote is the type of a table that there was; what a hand wrote need be none."""
    try:
        return restore(column, values)
    except (TypeError, ValueError, OverflowError, LookupError) as problem:
        raise BadData(
            f"Column {column.name!r} cannot become {column.dtype!r}, the type that the card says ({problem})."
        ) from problem


def keys(what: str, card: Any, known: tuple[str, ...], needed: tuple[str, ...]) -> None:
    if not isinstance(card, dict):
        raise wrong(what, card, "an object")
    for name in card:
        if name not in known:
            raise wrong(what, name, f"{', '.join(known)}")
    for name in needed:
        if name not in card:
            raise wrong(what, list(card), f"{', '.join(needed)}")


def numeric(name: str) -> bool:
    """Whether NumPy knows a plain type of numbers by this name."""
    try:
        return len(name) <= 20 and np.dtype(name.removeprefix("torch.")).kind in "fiub"
    except (TypeError, ValueError, SyntaxError):
        return False


def wrong(part: str, came: Any, awaited: str) -> BadFile:
    return BadFile(f"The description of a space says {part} = {shorten(came)}; awaited: {awaited}.")


def shorten(thing: Any) -> str:
    """How a thing is written, cut; a long list is not written out first."""
    said = repr(thing[:6])[:-1] + ", …]" if isinstance(thing, list) and len(thing) > 6 else repr(thing)
    return said if len(said) <= 120 else said[:120] + "…"
