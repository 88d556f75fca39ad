"""Text: characters or bytes, one stream or a line each."""

import pytest
import torch

from pushforward.data import load
from pushforward.data.stores import Windows
from pushforward.data.text import encode
from pushforward.errors import BadData, BadFile, Usage

TEXT = "Grüße, 世界! 👋🏽\r\nשלום\n" * 40


@pytest.fixture
def path(tmp_path):
    (tmp_path / "t.txt").write_bytes(TEXT.encode())
    return tmp_path / "t.txt"


def test_a_file_is_one_stream(path):
    examples = load(path, length=16)
    assert isinstance(examples.store, Windows) and examples.store.stream.dtype == torch.uint8
    assert (
        len(examples) == len(TEXT) // 16 and "".join(examples.space.restore(examples.x)) == TEXT[: len(examples) * 16]
    )
    assert (
        examples.space.alphabet == tuple(sorted(set(TEXT)))
        and examples.space.levels == len(set(TEXT))
        and examples.space.end == -1
    )
    assert torch.equal(examples.space.read([TEXT[:16]])[0], examples.x[0])
    assert load(path).space.shape == (256,)


def test_bytes_come_back_byte_for_byte(tmp_path):
    content = bytes(range(256)) * 3 + b"\xff\xfe\0"
    (tmp_path / "b.txt").write_bytes(content)
    examples = load(tmp_path / "b.txt", units="bytes", length=3)
    assert examples.space.levels == 256 and examples.space.restore(examples.x).tobytes() == content


def test_lines(path, tmp_path):
    (tmp_path / "n.txt").write_text("ada\r\n\nbo\ncleo")
    examples = load(tmp_path / "n.txt", lines=True)
    assert (
        examples.space.restore(examples.x) == ["ada", "bo", "cleo"]
        and examples.space.shape == (5,)
        and examples.space.end == 7
    )
    assert load(["ada", "bo", "cleo"]).space == examples.space
    assert load(["no", "on"]).space.end == -1  # all of one length need no end
    assert load(["ab", "c"], given=["x", "y"]).given[:, 0].tolist() == [0, 1]


def test_lines_of_bytes():
    examples = load(["é", "abc", ""], units="bytes")
    assert examples.space.levels == 257 and examples.x.tolist() == [[195, 169, 256, 256], [97, 98, 99, 256], [256] * 4]
    assert [bytes(row[row < 256].tolist()).decode() for row in examples.x] == ["é", "abc", ""]


def test_many_symbols_need_more_than_a_byte():
    codes, alphabet = encode("".join(map(chr, range(0x4E00, 0x4E00 + 300))))
    assert codes.dtype == torch.int32 and codes.tolist() == list(range(300)) and alphabet[5] == chr(0x4E05)


@pytest.mark.parametrize(
    "content, options, problem, says",
    [
        (b"", {}, BadFile, "is empty"),
        (b" \n\n", {}, BadFile, "only blanks"),
        (b"abc", {"length": 4}, BadData, "3 symbols; windows of length 4"),
        (b"caf\xe9", {}, BadFile, "byte 0xe9 at offset 3"),
        (b"abc", {"units": "byte"}, Usage, "Did you mean 'bytes'"),
        (b"abc", {"length": 0}, Usage, "length=0"),
        (b"abcd", {"length": 2, "given": [1, 2]}, Usage, "one stream"),
    ],
)
def test_what_is_refused(tmp_path, content, options, problem, says):
    (tmp_path / "t.txt").write_bytes(content)
    with pytest.raises(problem, match=says):
        load(tmp_path / "t.txt", **options)


def test_shakespeare(real_data):
    examples = load(real_data / "tinyshakespeare" / "input.txt")
    assert len(examples.store.stream) == 1_115_394 and examples.space.levels == 65
    train, valid = examples.split(0.1)
    assert (
        len(train.store.stream) + len(valid.store.stream) == 1_115_394
        and abs(len(valid.store.stream) / 1_115_394 - 0.1) < 1e-3
    )
    assert train.space.restore(train.x[:1])[0].startswith("First Citizen:")


def test_names(real_data):
    examples = load(real_data / "names" / "names.txt", lines=True)
    assert len(examples) == 32_033 and examples.space.levels == 27
    assert examples.space.restore(examples.x[:2]) == ["emma", "olivia"]
