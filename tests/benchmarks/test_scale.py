import math

import pytest

from benchmark_runs import measured


@pytest.mark.slow
def test_one_size_is_varied_at_a_time_and_its_exponent_fitted(tmp_path):
    arguments = ("--sizes", "tiny", "--device", "cpu", "--series", "negatives", "rows", "students")
    result, _ = measured("scale.py", tmp_path / "scale.json", *arguments)
    assert list(result["slopes"]) == ["negatives", "rows", "students"]
    for series, slopes in result["slopes"].items():
        cases = [case for case in result["cases"] if case["series"] == series]
        for case in cases:
            changed = {name for name, value in case["size"].items() if value != result["base"][name]}
            assert changed <= {series}
            assert min(case[f"{part}_ms"]["min"] for part in ("whole", "draw", "update")) > 0
            assert case["peak_mib"] >= 0
        small, large = cases
        grown = large["whole_ms"]["median"] / small["whole_ms"]["median"]
        sizes = large["size"][series] / small["size"][series]
        assert slopes["whole"] == pytest.approx(math.log(grown) / math.log(sizes))
