"""Training one classifier, from scratch or from given weights."""

from torch import nn

from crcd import distributed
from crcd.data import labelled
from crcd.evaluate.calibration import expected_calibration_error
from crcd.evaluate.predict import predict
from crcd.evaluate.scorer import Scorer
from crcd.models import Viewer, save_weights
from crcd.train.build import build_model, initialise, metadata
from crcd.train.config import TrainConfig
from crcd.train.device import find_device
from crcd.train.learner import Learner
from crcd.train.loggers import check_installed
from crcd.train.loop import Loop
from crcd.train.material import Material
from crcd.train.outcome import Outcome, describe_run, learner_entry
from crcd.train.randomness import RandomStream
from crcd.train.reporter import Reporter
from crcd.train.run_folder import RunFolder, run_folder
from crcd.train.several import begin_together
from crcd.train.stop import StopSignal

NAME = "ce"


def train(config: TrainConfig, reporter: Reporter | None = None) -> Outcome:
    """Train a classifier by cross-entropy in a run folder of its own, or go on with one.

    Raises:
        CrcdError: a mistake in the settings or the data, or a loss that is not finite.
        RunStopped: a signal or the time budget stopped it; it can be resumed.
    """
    check_installed(config.log)
    with run_folder(config, config.data, config.model) as folder:
        return _train(config, folder, reporter or Reporter())


def _train(config: TrainConfig, folder: RunFolder, reporter: Reporter) -> Outcome:
    stop = StopSignal(config.budget, f"{distributed.program()} train --resume {folder.path}")
    device = find_device(config.device)
    reporter = begin_together(config, device, reporter)
    material = Material.load(config, config.seed, device)
    _network(config, material)
    if config.resume is None:
        distributed.first(lambda: folder.create(config))
    train_classifier(config, material, folder, stop, reporter)
    return Outcome(folder.path, distributed.first(folder.read_summary))


def train_classifier(
    config: TrainConfig, material: Material, folder: RunFolder, stop: StopSignal, reporter: Reporter
) -> nn.Module:
    """Train a network on all labelled training images and write weights and summary into the folder.

    Args:
        config: settings of the run.
        material: the data.
        folder: an existing run folder, gone on with where it holds a checkpoint.
        stop: asks to stop early.
        reporter: is told what happens.
    """
    stream = RandomStream(config.seed, material.device)
    with stream.active():
        model = _network(config, material)
    viewer = Viewer(model, classifier=config.classifier)
    weight_C = material.class_weights(material.train)
    learner = Learner(NAME, viewer, None, config, stream, material.device, config, weight_C)
    loader = material.score_loader()
    scorer = Scorer(lambda: loader.epoch(0), material.scored.labels, None)
    train = material.train_loader(labelled(material.train))
    loop = Loop(config.model, config, [learner], None, train, scorer, folder, stop, reporter)
    loop.run()
    model = learner.result.model
    save_weights(model.state_dict(), folder.weights(NAME), metadata(config.model, material))
    entry = learner_entry(config.model, model, NAME, loop.history, material)
    entry["ece"] = expected_calibration_error(predict([model], loader.epoch(0))[0], material.scored.labels)
    times = {"step_seconds": loop.step_seconds, "seconds": loop.seconds}
    folder.write_summary({**describe_run(config, material), "learners": {NAME: entry}, **times})
    return model


def _network(config: TrainConfig, material: Material) -> nn.Module:
    model = build_model(config.model, material, classifier=config.classifier)
    return initialise(model, config.model, config.weights, pretrained=config.pretrained)
