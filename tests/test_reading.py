"""How a saved model reads a file: as its data were read, and what was written by a model of its own as it is."""

import json

import numpy as np
import pandas as pd
import pytest

import pushforward as pf
from pushforward import workbench
from pushforward.errors import BadFile
from pushforward.workbench import reading

rng = np.random.default_rng(0)
TABLE = pd.DataFrame({"größe": rng.normal(170, 9, 80).round(2), "art": rng.choice(["Brot", "Müsli"], 80)})
LAID = {
    # how the data lie in their file: (bytes, what is said of it)
    "other separators": (TABLE.to_csv(index=False, sep=";"), {"separator": ";"}, "utf-8"),
    "commas and an old encoding": (TABLE.to_csv(index=False, sep=";", decimal=","), {"decimal": ",", "encoding": "cp1252"}, "cp1252"),
    "a column to drop": (TABLE.assign(id=range(80)).to_csv(index=False), {"drop": "id"}, "utf-8"),
    "no header": (TABLE.to_csv(index=False, header=False), {"header": False, "names": ("größe", "art")}, "utf-8"),
    "lines above it": ("# made\n# by hand\n" + TABLE.to_csv(index=False), {"skip": 2}, "utf-8"),
    "another name": (TABLE.to_csv(index=False), {"format": "csv"}, "utf-8"),
}  # fmt: skip


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".tsv", ".jsonl", ".parquet"])
@pytest.mark.parametrize("how", LAID)
def test_what_a_model_writes_it_reads(how, suffix, tmp_path):
    """Whatever was said of the file that it was fitted on; and that one is read as it was."""
    text, said, encoding = LAID[how]
    source = tmp_path / ("t.data" if "format" in said else "t.csv")
    source.write_bytes(text.encode(encoding))
    model = pf.Histogram().fit(pf.data.load(source, **said), quiet=True)
    model.outcome_ = {**model.outcome_, "read": json.dumps(said)}
    drawn = model.sample(30, seed=0)
    if suffix == ".csv.gz":
        drawn.to_csv(tmp_path / "new.csv.gz", index=False)
    else:
        workbench.write(drawn, model.space, tmp_path / f"new{suffix}")
    read, _ = reading.raw(model, str(tmp_path / f"new{suffix}"), {})
    pd.testing.assert_frame_equal(read, drawn, check_dtype=False)
    again, _ = reading.raw(model, str(source), {})
    pd.testing.assert_frame_equal(again, TABLE, check_dtype=False)


def test_what_is_said_now_holds(tmp_path):
    model = pf.Histogram().fit(TABLE, quiet=True)
    model.outcome_ = {**model.outcome_, "read": json.dumps({"separator": ";"})}
    TABLE.to_csv(tmp_path / "t.csv", index=False, sep="|")
    assert len(reading.raw(model, str(tmp_path / "t.csv"), {"separator": "|"})[0]) == 80
    assert reading.raw(model, str(tmp_path / "t.csv"), {"separator": ","})[0].columns.tolist() == ["größe|art"]


@pytest.mark.parametrize("said", ["[1]", '{"format": {"a": 1}}', "5"])
def test_a_card_that_does_not_say_how(said, tmp_path):
    model = pf.Histogram().fit(TABLE, quiet=True)
    model.outcome_ = {"read": said}
    (tmp_path / "t.data").write_text("a\n1\n")
    with pytest.raises(BadFile, match="does not say how its data were read"):
        reading.raw(model, str(tmp_path / "t.data"), {})
