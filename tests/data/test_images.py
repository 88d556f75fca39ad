"""Folders of images: the rule for every mode, and what is refused."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from pushforward.data import load
from pushforward.data.images import read_folder, read_image
from pushforward.errors import BadData, BadFile, Usage

GREY = np.arange(48, dtype=np.uint8).reshape(6, 8) * 5
COLOUR = np.stack([GREY, 255 - GREY, GREY // 2], -1)


def saved(folder, image, name="a.png", **options):
    folder.mkdir(parents=True, exist_ok=True)
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(folder / name, **options)
    return folder / name


def test_grey_and_rgb_are_as_they_are(tmp_path):
    assert np.array_equal(read_image(saved(tmp_path, GREY))[0], GREY[None])
    assert np.array_equal(read_image(saved(tmp_path, COLOUR))[0], COLOUR.transpose(2, 0, 1))


def test_sixteen_bits_are_scaled_not_cut_off(tmp_path):
    values = np.linspace(0, 65535, 48).astype(np.uint16).reshape(6, 8)
    for name in ("a.png", "a.tif"):
        pixels = read_image(saved(tmp_path, values, name))[0]
        assert (
            np.array_equal(pixels[0], np.round(values / 257).astype(np.uint8))
            and pixels.min() == 0
            and pixels.max() == 255
        )
    wide = Image.fromarray(values.astype(np.int32) * 2)
    with pytest.raises(BadFile, match="131070; 0 to 65535"):
        read_image(saved(tmp_path, wide, "b.tif"))


def test_one_bit(tmp_path):
    bits = GREY > 100
    saved(tmp_path / "bits", Image.fromarray(bits))
    images, _ = read_folder(tmp_path / "bits")
    assert images.dtype == bool and np.array_equal(images[0, 0], bits)
    assert load(tmp_path / "bits").space.kind == "binary"
    saved(tmp_path / "bits", GREY, "b.png")
    images, _ = read_folder(tmp_path / "bits")
    assert np.array_equal(images[0, 0], bits * np.uint8(255)) and np.array_equal(images[1, 0], GREY)


def test_palette(tmp_path):
    shades = Image.fromarray(GREY).convert("P")
    assert shades.mode == "P" and np.array_equal(read_image(saved(tmp_path, shades))[0], GREY[None])
    colours = Image.fromarray(COLOUR).quantize(64)
    assert np.array_equal(
        read_image(saved(tmp_path, colours))[0], np.asarray(colours.convert("RGB")).transpose(2, 0, 1)
    )


def test_alpha_is_laid_over_white(tmp_path):
    alpha = np.array([[0, 255], [128, 64]], np.uint8)
    grey = np.full((2, 2), 100, np.uint8)
    over = (alpha / 255 * 100 + (1 - alpha / 255) * 255).round()
    for stack in ([grey, alpha], [grey, grey, grey, alpha]):
        pixels = read_image(saved(tmp_path, np.stack(stack, -1)))[0]
        assert (
            pixels.shape[0] == (1 if len(stack) == 2 else 3)
            and np.abs(pixels - over).max() <= 1
            and pixels[0, 0, 0] == 255
        )
    clear = Image.fromarray(np.array([[0, 1]], np.uint8)).convert("P")
    clear.putpalette([10, 20, 30, 40, 50, 60])
    assert read_image(saved(tmp_path, clear, transparency=0))[0][:, 0].tolist() == [[255, 40], [255, 50], [255, 60]]
    assert read_image(saved(tmp_path, GREY, transparency=int(GREY[0, 1])))[0][0, 0, :3].tolist() == [0, 255, 10]


def test_cmyk(tmp_path):
    ink = Image.new("CMYK", (4, 4), (0, 255, 255, 0))
    pixels = read_image(saved(tmp_path, ink, "a.tif"))[0]
    assert pixels[:, 0, 0].tolist() == [255, 0, 0]
    assert (
        np.abs(read_image(saved(tmp_path, ink, "a.jpg", quality=100))[0][:, 0, 0].astype(int) - [255, 0, 0]).max() <= 3
    )


def test_exif_rotation_is_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: the top of the scene is at the right
    assert np.array_equal(read_image(saved(tmp_path, GREY, exif=exif))[0][0], np.rot90(GREY, -1))


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.png", "a.tif"])
def test_of_an_animation_the_first_frame(tmp_path, name):
    frames = [Image.new("L", (5, 4), v) for v in (0, 255)]
    path = saved(
        tmp_path,
        frames[0],
        name,
        save_all=True,
        append_images=frames[1:],
        **({"lossless": True} if name == "a.webp" else {}),
    )
    pixels = read_image(path)[0]
    assert pixels.shape[1:] == (4, 5) and pixels.max() == 0


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.bmp", "a.gif", "a.webp", "a.tif", "a.ppm", "A.PNG"])
def test_formats(tmp_path, name):
    saved(tmp_path, COLOUR, name, **({"lossless": True} if name == "a.webp" else {}))
    assert load(tmp_path).space.shape[1:] == (6, 8)


def test_other_modes_are_refused(tmp_path):
    with pytest.raises(BadFile, match="mode F"):
        read_image(saved(tmp_path, np.ones((3, 3), np.float32), "a.tif"))
    with pytest.raises(BadFile, match="mode LAB"):
        read_image(saved(tmp_path, Image.new("LAB", (3, 3)), "b.tif"))


def test_folder_is_grey_if_all_are(tmp_path):
    saved(tmp_path, GREY, "b.png")
    saved(tmp_path, GREY, "a.png")
    examples = load(tmp_path)
    assert str(examples.space) == "levels(256) of shape (1, 6, 8)" and np.array_equal(examples.x[0, 0].numpy(), GREY)
    saved(tmp_path, COLOUR, "c.png")
    examples = load(tmp_path)
    assert examples.space.shape == (3, 6, 8) and np.array_equal(examples.x[0].numpy(), np.stack([GREY] * 3))
    assert np.array_equal(examples.space.restore(examples.x)[2], COLOUR.transpose(2, 0, 1))


def test_folders_within_are_classes(tmp_path):
    for kind, value in {"cat": 10, "dog": 200}.items():
        for i in range(2):
            saved(tmp_path / kind / "deep", GREY // 2 + value // 2, f"{i}.png")
    (tmp_path / "notes.txt").write_text("left out")
    saved(tmp_path / ".hidden", GREY)
    examples = load(tmp_path, given="folder")
    assert len(examples) == 4 and examples.given[:, 0].tolist() == [0, 0, 1, 1]
    assert examples.given_space.columns[0].categories == ("cat", "dog")
    with pytest.raises(Usage, match="Did you mean 'folder'"):
        load(tmp_path, given="foldr")


def test_sizes_must_agree_or_be_chosen(tmp_path):
    saved(tmp_path, GREY, "a.png")
    saved(tmp_path, np.tile(GREY, (2, 2)), "b.png")
    with pytest.raises(BadData, match=r"b.png is 12x16 .*a.png is 6x8. Pass size=.*crop="):
        load(tmp_path)
    assert load(tmp_path, size=(6, 8)).space.shape == (1, 6, 8)
    assert load(tmp_path, size=4).space.shape == (1, 4, 4)
    cut = load(tmp_path, crop=(4, 6))
    assert np.array_equal(cut.x[0, 0].numpy(), GREY[1:5, 1:7])
    assert load(tmp_path, crop=6, size=3).space.shape == (1, 3, 3)
    with pytest.raises(BadData, match="a.png is 6x8 .*smaller than crop=10x10"):
        load(tmp_path, crop=10)
    with pytest.raises(Usage, match="size='x'"):
        load(tmp_path, size="x")


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.gif", "a.tif", "a.webp", "a.bmp"])
@pytest.mark.parametrize("part", [0.0, 0.1, 0.5, 0.9])
def test_cut_short_files_are_named(tmp_path, name, part):
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    path = saved(tmp_path, noise, name)
    path.write_bytes(path.read_bytes()[: int(part * path.stat().st_size)])
    with pytest.raises(BadFile, match=f"{name} cannot be read as an image"):
        load(tmp_path)


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, of tags that make no sense
def test_flipped_bytes_never_end_in_anything_but_an_image_or_a_sentence(tmp_path):
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (12, 12, 3), dtype=np.uint8)
    for name in ("a.png", "a.jpg", "a.gif", "a.tif", "a.bmp"):
        whole = saved(tmp_path, noise, name).read_bytes()
        for _ in range(40):
            broken = bytearray(whole)
            for at in rng.integers(0, len(whole), 3):
                broken[at] ^= int(rng.integers(1, 256))
            (tmp_path / name).write_bytes(bytes(broken))
            try:
                pixels, _ = read_image(tmp_path / name)
            except BadFile as problem:
                assert name in str(problem)
            else:
                assert pixels.dtype == np.uint8


def bomb(width, height):
    """A PNG that declares more than it has."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(b"\0" * 99))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("side", [10_000, 50_000])  # Pillow warns at the first and raises at the second
def test_decompression_bombs_are_not_opened(tmp_path, side):
    (tmp_path / "bomb.png").write_bytes(bomb(side, side))
    with pytest.raises(BadFile, match="bomb.png declares more than"):
        load(tmp_path)


def test_nothing_to_read(tmp_path):
    with pytest.raises(BadFile, match="holds no image .it is empty"):
        load(tmp_path)
    (tmp_path / "a.csv").write_text("a\n1\n")
    with pytest.raises(BadFile, match="holds no image .it holds .csv"):
        load(tmp_path)
    saved(tmp_path, GREY)
    (tmp_path / "b.heic").write_bytes(b"x")
    with pytest.raises(BadFile, match="b.heic is an image of a kind that cannot be read"):
        load(tmp_path)


def test_photographs(real_data):
    examples = load(real_data / "kodak", crop=64)
    assert len(examples) == 8 and examples.space.shape == (3, 64, 64) and examples.x.float().std() > 20
