import pytest

from benchmark_runs import measured


@pytest.mark.slow
def test_epochs_are_written(tmp_path):
    arguments = ("--sizes", "tiny", "--device", "cpu", "--data-dir", tmp_path / "absent")
    result, shown = measured("epoch.py", tmp_path / "epoch.json", *arguments)
    loaders = {(entry["data"], entry["loader"]) for entry in result["loaders"]}
    plain = {"torchvision, 0 workers", "torchvision, 2 workers"}
    assert {name for data, name in loaders if "random pixels" in data} == plain | {"ours"}
    assert {name for data, name in loaders if "files" in data} == plain | {"ours, 0 workers", "ours, 2 workers"}
    live_over_cached = {entry["step"]: entry["live_over_cached"] for entry in result["training"]}
    cached = {step for step, ratio in live_over_cached.items() if ratio is not None}
    assert cached == {"kd, cached teacher", "crcd, cached teacher"}
    assert all(step in shown for step in live_over_cached)
    assert all(entry["ms"]["min"] > 0 for entry in result["loaders"] + result["training"])
