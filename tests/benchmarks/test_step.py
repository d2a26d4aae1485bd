import pytest

from benchmarks.running import measured


def test_parts_of_a_step_are_written(tmp_path):
    arguments = ("--batch-size", "4", "--negatives", "16", "--repeats", "1")
    result, _ = measured("step.py", tmp_path / "step.json", *arguments)
    (repeat,) = result["repeats"]
    assert {"teacher", "student", "loss", "optimiser"} <= repeat.keys()
    assert result["loss_share"] == pytest.approx(repeat["loss"] / sum(repeat.values()))
    assert result["sizes"] == {"B": 4, "K": 16, "N": 50_000}
