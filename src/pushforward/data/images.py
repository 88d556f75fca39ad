"""A folder of images -> one array (N, C, H, W) of bytes. What becomes of each kind of picture:

    1-bit            0 or 255; a folder of nothing else is an array of booleans (a binary space)
    grey (L)         as it is
    16-bit grey      v / 257, rounded, so that 0 .. 65535 becomes 0 .. 255 (never cut off at 255)
    palette (P)      its colours; grey if all of them are grey
    RGB              as it is
    CMYK, YCbCr      converted to RGB (colour profiles are not applied)
    alpha            laid over white
    EXIF rotation    applied
    animated         the first frame
    float, Lab, ...  refused

The folder is grey (C = 1) if all its images are grey, else RGB (C = 3). All images must have one size, unless `crop` (cut from the
middle) or `size` (scaled to cover, then cut from the middle) says which. Folders within the folder are read too, in order of
name; the first level of them can be `given`. A file that is damaged, or that declares more than 89 million pixels, is an error.
"""

from __future__ import annotations

import struct
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import BadData, BadFile, Usage

READ = frozenset((".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm"))
FOREIGN = frozenset((".svg", ".heic", ".heif", ".avif", ".psd", ".raw", ".cr2", ".nef", ".dng", ".jxl", ".pdf"))
FORMATS = (
    "PNG",
    "JPEG",
    "BMP",
    "GIF",
    "WEBP",
    "TIFF",
    "PPM",
)  # and no other, whatever the name: PostScript would start a program
PIXELS = 89_478_485  # of one image: a quarter of a gibibyte of RGB
BLANK = 1 << 22, 20_000  # pixels that any file may declare, and for each of its bytes: a blank page has not many more

# As Pillow's readers meet damage.
DAMAGE = (
    OSError, SyntaxError, ValueError, TypeError, EOFError, LookupError, AttributeError, ArithmeticError, AssertionError, RuntimeError, MemoryError,
    struct.error,
)  # fmt: skip

Size = int | tuple[int, int]


def read_folder(folder: Path, *, size: Size | None = None, crop: Size | None = None) -> tuple[np.ndarray, list[str]]:
    """(images (N, C, H, W) uint8 or bool, the name of the first-level folder of each, "" for none)."""
    paths = pictures(folder)
    images: list[np.ndarray] = []
    bits = True
    for path in paths:
        pixels, one_bit = read_image(path, pair("size", size), pair("crop", crop))
        bits = bits and one_bit
        if images and pixels.shape[1:] != images[0].shape[1:]:
            have, want = "x".join(map(str, pixels.shape[1:])), "x".join(map(str, images[0].shape[1:]))
            raise BadData(
                f"{path} is {have} (height x width) and {paths[0].name} is {want}. Pass size=(H, W) to scale all, or crop=(H, W) to cut all."
            )
        images.append(pixels)
    channels = max(len(pixels) for pixels in images)
    out = np.empty((len(images), channels, *images[0].shape[1:]), np.uint8)
    for i, pixels in enumerate(images):
        out[i] = pixels  # one grey channel spreads over three
    where = [path.relative_to(folder).parts for path in paths]
    return out > 127 if bits else out, [parts[0] if len(parts) > 1 else "" for parts in where]


def pictures(folder: Path) -> list[Path]:
    """The image files of a folder, sorted by path; hidden files and files of other kinds are left out."""
    files = [
        p
        for p in folder.rglob("*")
        if p.is_file() and not any(part.startswith(".") for part in p.relative_to(folder).parts)
    ]
    foreign = sorted(p for p in files if p.suffix.lower() in FOREIGN)
    if foreign:
        raise BadFile(
            f"{foreign[0]} is an image of a kind that cannot be read. Convert it to PNG, or take it out of the folder."
        )
    found = sorted((p for p in files if p.suffix.lower() in READ), key=lambda p: p.relative_to(folder).as_posix())
    if not found:
        kinds = sorted({p.suffix for p in files})
        raise BadFile(
            f"{folder} holds no image ({'it holds ' + ', '.join(kinds[:5]) if kinds else 'it is empty'}). PNG, JPEG and the like are awaited."
        )
    return found


def read_image(
    path: Path, size: tuple[int, int] | None = None, crop: tuple[int, int] | None = None
) -> tuple[np.ndarray, bool]:
    """(pixels (C, H, W) uint8 with C 1 or 3, whether the file is 1-bit)."""
    from PIL import Image, ImageOps

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=FORMATS) as file:
                if file.width * file.height > min(PIXELS, max(BLANK[0], BLANK[1] * path.stat().st_size)):
                    raise Image.DecompressionBombError
                file.seek(0)
                file.load()
                one_bit = file.mode == "1"
                image = plain(path, ImageOps.exif_transpose(file))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as problem:
        raise BadFile(
            f"{path} declares more than {PIXELS:,} pixels, or {BLANK[1]:,} for each of its bytes, and was not opened. Scale it down first."
        ) from problem
    except BadFile:
        raise
    except DAMAGE as problem:
        raise BadFile(
            f"{path} cannot be read as an image: it is damaged, cut short or not an image ({problem})."
        ) from problem
    if crop is not None:
        image = cut(path, image, crop)
    if size is not None:
        image = ImageOps.fit(image, size[::-1], Image.Resampling.LANCZOS)
        one_bit = False
    pixels = np.asarray(image)
    return (pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)), one_bit


def plain(path: Path, image: Any) -> Any:
    """An image of any mode -> mode L or RGB, by the rules at the top of this file."""
    from PIL import Image

    if image.mode.startswith("I"):
        return Image.fromarray(sixteen(path, np.asarray(image)))
    grey = image.mode in ("1", "L", "LA", "La")
    if "transparency" in image.info or image.mode in ("LA", "La", "PA", "RGBA", "RGBa"):
        palette, image = image.mode in ("P", "PA"), image.convert("RGBA")
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, image).convert("L" if grey or (palette and is_grey(image)) else "RGB")
    if grey:
        return image.convert("L")
    if image.mode == "P":
        image = image.convert("RGB")
        return image.convert("L") if is_grey(image) else image
    if image.mode in ("RGB", "RGBX", "CMYK", "YCbCr"):
        return image.convert("RGB")
    raise BadFile(
        f"{path} has pixels of mode {image.mode}, which have no one way to become bytes. Convert it to 8-bit grey or RGB, or pass an array."
    )


def is_grey(image: Any) -> bool:
    pixels = np.asarray(image)
    return bool((pixels[..., 0] == pixels[..., 1]).all() and (pixels[..., 0] == pixels[..., 2]).all())


def sixteen(path: Path, values: np.ndarray) -> np.ndarray:
    """0 .. 65535 -> 0 .. 255, rounded."""
    if values.min() < 0 or values.max() > 65535:
        raise BadFile(f"{path} holds grey levels from {values.min()} to {values.max()}; 0 to 65535 are awaited.")
    return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)


def cut(path: Path, image: Any, crop: tuple[int, int]) -> Any:
    """The middle of an image."""
    height, width = crop
    if image.height < height or image.width < width:
        raise BadData(
            f"{path} is {image.height}x{image.width} (height x width), smaller than crop={height}x{width}. Pass size= to scale."
        )
    top, left = (image.height - height) // 2, (image.width - width) // 2
    return image.crop((left, top, left + width, top + height))


def pair(name: str, size: Any) -> tuple[int, int] | None:
    """One number is both sides of a square."""
    if size is None:
        return None
    sides = (size, size) if isinstance(size, int) else tuple(size) if isinstance(size, tuple | list) else ()
    if len(sides) != 2 or not all(type(side) is int and side > 0 for side in sides) or sides[0] * sides[1] > PIXELS:
        raise Usage(f"{name}={size!r}: one whole number or (height, width) is awaited, of {PIXELS:,} pixels at most.")
    return sides[0], sides[1]
