import pytest

from benchmark_runs import measured

TINY = ("--sizes", "tiny", "--device", "cpu")


@pytest.mark.slow
def test_every_form_is_timed_against_the_released_one(tmp_path):
    result, shown = measured("loss.py", tmp_path / "loss.json", *TINY, "--parts", "negatives", "mlp")
    assert result["benchmark"] == "loss"
    first = [case for case in result["cases"] if case["part"] == "negatives" and case["size"]["K"] == 4]
    assert {"released", "CRD", "streaming"} <= {case["name"] for case in first}
    for case in first:
        assert 0 < case["ms"]["min"] <= case["ms"]["median"] <= case["ms"]["max"]
        assert len(case["rounds_ms"]) >= 2
        assert case["released_over_this"]["median"] > 0
        assert case["peak_mib"] >= 0
        assert case["label"] in shown
        if case["name"] == "CRD":  # another loss has another floor
            assert case["floor_share"] is None
        else:
            assert 0 < case["floor_share"] < 1
    assert next(case for case in first if case["name"] == "released")["released_over_this"]["median"] == 1
    assert {case["relation"] for case in result["cases"]} == {"difference", "mlp"}
    assert "CUDA" in result["skipped"]["difference"]["triton"]
    assert result["rates"]["flops"] > 0
    assert result["rates"]["exponentials"] > 0
