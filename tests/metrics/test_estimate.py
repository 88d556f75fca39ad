"""An estimate says what it is."""

import json
import math

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
