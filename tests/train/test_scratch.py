"""Training one classifier."""

import torch

from crcd.config_file import fingerprint
from crcd.models import create_model, load_weights
from crcd.train.checkpoint import load_checkpoint
from crcd.train.config import TrainConfig
from crcd.train.run_folder import RunFolder
from crcd.train.scratch import train


def test_the_moving_average_is_kept(tmp_path):
    config = TrainConfig(
        model="resnet8",
        image_size=8,
        batch_size=64,
        epochs=1,
        crop_padding=1,
        device="cpu",
        ema=0.9,
        out=tmp_path / "run",
    )
    train(config)
    folder = RunFolder(tmp_path / "run")
    state = load_checkpoint(folder.checkpoint, fingerprint(config), folder.config)["learners"]["ce"]
    model = create_model("resnet8", 10, 1)
    load_weights(model, folder.weights("ce"))
    name = "classifier.weight" if "classifier.weight" in state["average"] else next(iter(state["average"]))
    assert torch.equal(model.state_dict()[name], state["average"][name])
    assert not torch.equal(state["average"][name], state["student"][name])
