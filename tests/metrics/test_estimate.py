"""An estimate says what it is."""

import json
import math
from dataclasses import replace

import pytest

from pushforward.errors import Usage
from pushforward.metrics import Estimate


def test_it_prints_all_that_it_knows():
    said = str(Estimate("MMD2(P, Q)", 0.0123, 0.004, -0.0001, (100, 90), "a kernel", 0.02, ("one note",)))
    assert said == "MMD2(P, Q) = 0.0123 ± 0.004, floor -0.0001, p = 0.02, n = 100 and 90\n  by a kernel\n  one note"
    assert repr(Estimate("KL(P || Q)", math.inf, math.nan, 0.1, (5, 5))) == "KL(P || Q) = inf, floor 0.1, n = 5 and 5"
    assert str(Estimate("JS(P, Q)", 0.5, 0.0, 0.0, (), "a sum")) == "JS(P, Q) = 0.5, exact\n  by a sum"


def test_it_is_a_number_with_an_interval():
    one = Estimate("KL(P || Q)", 0.5, 0.1, 0.2)
    assert float(one) == 0.5 and one.excess == 0.3 and one.interval(2) == (0.3, 0.7)
    assert Estimate("KL(P || Q)", math.inf, math.nan).interval() == (math.inf, math.inf)


def test_it_goes_to_json_without_infinities():
    facts = json.loads(json.dumps(Estimate("KL(P || Q)", math.inf, math.nan, None, (3, 4)).to_json(), allow_nan=False))
    assert facts["value"] is None and facts["stderr"] is None and facts["n"] == [3, 4] and "inf" in facts["said"]


def test_what_was_compared_and_with_which_numbers_is_said():
    one = Estimate(
        "precision", 0.9, 0.01, 0.95, (100, 100), "neighbours", features="the pixels", parameters={"k": 3, "scale": 0.5}
    )
    assert str(one).splitlines()[1:] == ["  of the pixels", "  by neighbours", "  k = 3, scale = 0.5"]
    assert json.loads(json.dumps(one.to_json()))["parameters"] == {"k": 3, "scale": 0.5}


def test_what_was_made_alike_is_subtracted_and_nothing_else():
    one = Estimate("MMD2(P, Q)", 0.5, 0.3, 0.0, (100, 90), "a kernel", parameters={"width": 1.0})
    apart = one - replace(one, value=0.2, stderr=0.4)
    assert (
        apart.value == pytest.approx(0.3) and apart.stderr == pytest.approx(0.5) and "difference of MMD2" in str(apart)
    )
    for change in (
        {"n": (50, 90)},
        {"features": "pixels"},
        {"estimator": "another"},
        {"name": "FD"},
        {"parameters": {"width": 2.0}},
    ):
        with pytest.raises(Usage, match=r"alike|depend"):
            one - replace(one, **change)
