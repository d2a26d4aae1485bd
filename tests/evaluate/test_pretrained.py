import pytest
import torch

from crcd.errors import CrcdError
from crcd.evaluate.pretrained import read_network, read_run
from crcd.models import ImageFormat, create_model, save_weights

KNOWN = {
    **{"model": "resnet8", "data": "digits", "num_classes": "10", "in_channels": "1", "image_size": "16"},
    **{"mean": "0.25", "std": "0.5"},
}


@pytest.fixture
def run(tmp_path):
    for name in ("ce", "teacher", "kd@kd.weight=0.5", "crcd+kd"):
        save_weights(create_model("resnet8", 10, 1).state_dict(), tmp_path / f"{name}.safetensors", KNOWN)
    (tmp_path / "config.yaml").write_text("methods: [kd@kd.weight=0.5, ce, crcd+kd]\n")
    (tmp_path / "summary.json").touch()
    return tmp_path


def test_a_run_that_has_not_ended(run):
    (run / "summary.json").unlink()
    with pytest.raises(CrcdError, match="it has not ended"):
        read_run(run)


def test_teacher_first_then_learners_in_the_runs_order(run):
    networks = read_run(run)
    assert [network.name for network in networks] == ["teacher", "kd@kd.weight=0.5", "ce", "crcd+kd"]
    assert {network.format for network in networks} == {ImageFormat(1, 16, (0.25,), (0.5,))}
    assert (networks[0].architecture, networks[0].data, networks[0].run) == ("resnet8", "digits", run)


def test_weights_are_those_of_the_file(tmp_path):
    model = create_model("resnet8", 10, 1).eval()
    save_weights(model.state_dict(), tmp_path / "ce.safetensors", KNOWN)
    (network,) = read_run(tmp_path)
    image = torch.randn(2, 1, 16, 16)
    with torch.no_grad():
        assert network.viewer.eval()(image).logits.equal(model(image))


def test_no_weights(tmp_path):
    with pytest.raises(
        CrcdError, match=r"it holds no weights \(\*.safetensors\); name the folder of a run that has ended"
    ):
        read_run(tmp_path)


@pytest.mark.parametrize("name", ["model", "mean", "image_size"])
def test_weights_that_do_not_say_enough(tmp_path, name):
    known = {key: value for key, value in KNOWN.items() if key != name}
    save_weights(create_model("resnet8", 10, 1).state_dict(), tmp_path / "ce.safetensors", known)
    with pytest.raises(CrcdError, match=rf"ce\.safetensors: their metadata has no '{name}'; train the network"):
        read_run(tmp_path)


def test_code_is_run_only_where_the_user_names_it(tmp_path):
    file = tmp_path / "ce.safetensors"
    save_weights(create_model("resnet8", 10, 1).state_dict(), file, KNOWN | {"model": "crcd.models.zoo:unknown"})
    with pytest.raises(CrcdError, match="code that is not run on a file's word"):
        read_network(file)
    assert read_network(file, "resnet8").architecture == "resnet8"


def test_a_run_of_a_network_of_ones_own(tmp_path, monkeypatch):
    (tmp_path / "own_probed_network.py").write_text(
        "from crcd.models import create_model\n\n"
        "def net(num_classes, in_channels):\n    return create_model('resnet8', num_classes, in_channels)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    known = KNOWN | {"model": "own_probed_network:net"}
    save_weights(create_model("resnet8", 10, 1).state_dict(), tmp_path / "ce.safetensors", known)
    with pytest.raises(CrcdError, match=r"own_probed_network:net, code that is not run .* give --run-code"):
        read_run(tmp_path)
    (network,) = read_run(tmp_path, run_code=True)
    assert network.architecture == "own_probed_network:net"
