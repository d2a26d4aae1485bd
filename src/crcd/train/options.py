"""Settings that distillation and training from scratch share, in the groups that ``--help`` shows."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from crcd import errors
from crcd.data.picture import Policy
from crcd.errors import CrcdError
from crcd.train.loggers import LoggerName

MOST_WORKERS = 1024
"""Processes that decode images; far more would take all that the machine has before the first image."""


@dataclass(frozen=True, kw_only=True)
class DataOptions:
    """Images and how they are fed."""

    data: str = "digits"
    """Data set: the folder that holds it, a name of `crcd list data`, or hf/NAME of the hub."""
    data_dir: Path | None = None
    """Where a data set lies that is named; digits and hf/NAME need none."""
    download: bool = False
    """Download the data set into --data-dir if it is absent."""
    image_size: int | None = None
    """Side of the square images, pixels; None takes the data set's own."""
    skip_corrupt: bool = False
    """Leave out images that can't be decoded (they are counted) instead of stopping."""
    holdout: float = 0.0
    """Share of the training images held out, the same for every seed, and scored in place of the test images."""
    batch_size: int = 64
    """Images a step, of all processes together."""
    crop: Literal["padded", "random-resized"] = "padded"
    """Random crops: of the image's size, out of the padded image; or random parts, resized (torchvision's
    RandomResizedCrop): of the picture in its file, or of the square image where all of them are kept in memory."""
    crop_padding: int = 4
    """Black pixels by which images are padded for padded crops; 0 for no such crops."""
    crop_scale: tuple[float, float] = (0.08, 1.0)
    """Least and greatest area of a random-resized crop, as a share of the image's."""
    flip: bool = True
    """Mirror each training image with probability 1/2."""
    policy: Policy = "none"
    """Distortions of each training image by torchvision's RandAugment, TrivialAugmentWide or AutoAugment, on the host:
    before crops of images kept in memory and padded crops, after random-resized crops of pictures in their files."""
    rand_augment: tuple[int, int] = (2, 9)
    """Operations that randaugment does to an image, and their magnitude, 0 to 30."""
    erasing: float = 0.0
    """Probability that a box of a training image, 2 to 33 % of it, is blanked out with the data's mean colour (random
    erasing; usual: 0.25), after all else but mixup and cutmix. Student and teacher see the same; with --teacher-views
    each fixed augmentation has its box. 0 for none."""
    mixup: float = 0.0
    """Alpha of mixup (usual: 0.2): a mixed image is lambda of its own and 1 - lambda of another image of the batch for
    lambda from Beta(alpha, alpha), and its label, also that of its feature gradient, is so mixed. Student and teacher
    see the same; no bank remembers it, and it is no negative. 0 for none."""
    cutmix: float = 0.0
    """Alpha of cutmix (usual: 1): likewise, with a box cut out of the other image. 0 for none."""
    mix_prob: float = 0.5
    """Probability that an image is mixed, if --mixup or --cutmix is given; the rest renews banks and queues."""
    balance: Literal["none", "sampler", "loss"] = "none"
    """Of classes of unequal size: an epoch shows as many images of each (sampler), or an image's cross-entropy weighs
    N / (C n), for n of N labelled training images in its class, one of C (loss)."""
    workers: int = 0
    """Processes that decode images of a folder too big for memory, or apply --policy."""

    def __post_init__(self) -> None:
        require(self.batch_size >= 1, "batch-size", self.batch_size, "give 1 or more")
        require(0 <= self.holdout < 1, "holdout", self.holdout, "give a share from 0 to below 1")
        require(self.image_size is None or self.image_size >= 8, "image-size", self.image_size, "give 8 or more")
        require(self.crop_padding >= 0, "crop-padding", self.crop_padding, "give 0 or more")
        scale = len(self.crop_scale) == 2 and 0 < self.crop_scale[0] <= self.crop_scale[1] <= 1
        require(scale, "crop-scale", self.crop_scale, "give two shares up to 1, the least (above 0) first")
        rand = len(self.rand_augment) == 2 and self.rand_augment[0] >= 1 and 0 <= self.rand_augment[1] <= 30
        require(rand, "rand-augment", self.rand_augment, "give 1 operation or more, and a magnitude from 0 to 30")
        require(0 <= self.erasing <= 1, "erasing", self.erasing, "give a probability from 0 to 1")
        for flag, alpha in (("mixup", self.mixup), ("cutmix", self.cutmix)):
            require(alpha >= 0, flag, alpha, "give 0 or more")
        require(0 < self.mix_prob <= 1, "mix-prob", self.mix_prob, "give a probability above 0, up to 1")
        require_workers(self.workers)

    @property
    def augmented(self) -> bool:
        """Whether each training image by itself is cropped, mirrored, distorted or erased in part."""
        cropped = self.crop == "random-resized" or self.crop_padding > 0
        return cropped or self.flip or self.policy != "none" or self.erasing > 0

    @property
    def mixed(self) -> bool:
        """Whether training images are mixed with one another."""
        return self.mixup > 0 or self.cutmix > 0


@dataclass(frozen=True, kw_only=True)
class OptimiserOptions:
    """The optimiser and its learning rate."""

    epochs: int = 240
    """Passes over the training images."""
    lr: float = 0.05
    """Initial learning rate."""
    schedule: Literal["step", "cosine"] = "step"
    """Step: times gamma after each milestone. Cosine: to zero along half a cosine."""
    milestones: tuple[float, ...] = (0.625, 0.75, 0.875)
    """Ends of the steps: epochs, or shares of all epochs where below 1."""
    gamma: float = 0.1
    """Factor of the learning rate at each milestone."""
    warmup_epochs: float = 0.0
    """Epochs over which the learning rate rises linearly to its initial value."""
    optimizer: Literal["sgd", "adamw"] = "sgd"
    """Stochastic gradient descent with momentum, or Adam with decoupled weight decay."""
    momentum: float = 0.9
    """Momentum; beta 1 of adamw."""
    beta2: float = 0.999
    """Beta 2 of adamw."""
    nesterov: bool = False
    """Nesterov's form of the momentum."""
    weight_decay: float = 5e-4
    """Weight decay."""
    decay_norms: bool = True
    """Whether it is that of biases and normalisations, too."""
    layer_decay: float | None = None
    """Factor of the learning rate from each layer of the student to the one before it; None for one rate."""
    freeze: tuple[str, ...] = ()
    """Parts of the student that are not trained, by their names, such as body.stem or layer1."""
    clip_norm: float | None = None
    """Largest norm of all gradients together; longer ones are shortened to it. None for no limit."""
    label_smoothing: float = 0.0
    """Share of a label that all classes have in common, in cross-entropy."""
    ema: float | None = None
    """Decay of a moving average of the student's weights, which is scored and kept in place of them; None for none."""

    def __post_init__(self) -> None:
        require(self.epochs >= 1, "epochs", self.epochs, "give 1 or more")
        require(self.lr > 0, "lr", self.lr, "give a learning rate above 0")
        require(all(m > 0 for m in self.milestones), "milestones", self.milestones, "give numbers above 0")
        if self.schedule == "step":
            require_milestones(self.milestones, "epochs", self.epochs)
        require(self.gamma > 0, "gamma", self.gamma, "give a factor above 0")
        require(
            0 <= self.warmup_epochs < self.epochs,
            "warmup-epochs",
            self.warmup_epochs,
            f"give fewer than the {self.epochs} of --epochs",
        )
        require(0 <= self.momentum < 1, "momentum", self.momentum, "give a number from 0 to below 1")
        require(self.weight_decay >= 0, "weight-decay", self.weight_decay, "give 0 or more")
        require(0 <= self.beta2 < 1, "beta2", self.beta2, "give a number from 0 to below 1")
        require(
            0 <= self.label_smoothing < 1, "label-smoothing", self.label_smoothing, "give a share from 0 to below 1"
        )
        for flag, share in (("layer-decay", self.layer_decay), ("ema", self.ema)):
            require(share is None or 0 < share < 1, flag, share, "give a number above 0 and below 1")
        require(self.clip_norm is None or self.clip_norm > 0, "clip-norm", self.clip_norm, "give a norm above 0")
        require(self.momentum > 0 or not self.nesterov, "momentum", self.momentum, "Nesterov's form needs it above 0")
        require(self.optimizer == "sgd" or not self.nesterov, "nesterov", True, "adamw has no such form, leave it out")


@dataclass(frozen=True, kw_only=True)
class ComputeOptions:
    """How networks are computed. Losses, banks and weights are float32 in any case."""

    precision: Literal["float32", "bf16"] = "float32"
    """Of the networks' forward and backward passes: float32 (a GPU's convolutions in TF32), or bfloat16 autocast."""
    compile: bool = False
    """Compile the networks with torch.compile (in a single process): minutes at the start, quicker steps afterwards."""
    capture: bool = True
    """On a GPU, replay the training step as one CUDA graph (in a single process, with one batch part); it changes no
    number."""
    batch_parts: int = 1
    """Parts in which students read a batch, each twice, where memory is too small for the whole: losses stay the whole
    batch's; batch normalisation takes each part's statistics."""
    sync_batchnorm: bool = True
    """Students normalise by the whole batch's statistics, however many processes share it; off, by each one's part."""

    def __post_init__(self) -> None:
        require(self.batch_parts >= 1, "batch-parts", self.batch_parts, "give 1 or more")


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """The run and its folder."""

    recipe: str | None = None
    """Defaults for all of these: a name of `crcd list recipes` or a YAML file, or several joined by +, the last on top;
    None takes the data set's."""
    seed: int = 0
    """Seed of initial weights, data order, augmentation and choice of images."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N; auto takes a GPU where there is one."""
    out: Path | None = None
    """Folder of the run; None takes the first free runs/DATA-NETWORKS-N."""
    resume: Path | None = None
    """Folder of a run to continue; beside it only --time-budget, --device and --workers may be given, and --no-report
    where there is that."""
    time_budget: str | None = None
    """Stop at the next step, ready to resume, after this long: seconds, 90s, 9m or 1h30m."""
    checkpoint_seconds: float = 180.0
    """Seconds between checkpoints within an epoch; one more is written after each epoch."""
    log: tuple[LoggerName, ...] = ()
    """Show the metrics of each epoch live, too: tensorboard writes RUN/tensorboard/, wandb sends them to Weights &
    Biases, trackio keeps them in its own folder. metrics.jsonl has them in any case."""

    def __post_init__(self) -> None:
        require_seed("seed", self.seed)
        require(self.checkpoint_seconds > 0, "checkpoint-seconds", self.checkpoint_seconds, "give seconds above 0")
        if self.time_budget is not None:
            parse_duration(self.time_budget)

    @property
    def budget(self) -> float | None:
        """The time budget in seconds."""
        return None if self.time_budget is None else parse_duration(self.time_budget)


def require(holds: bool, flag: str, value: object, advice: str) -> None:
    """Raises the ``CrcdError`` that names the flag, its value and what to give instead, unless the check holds."""
    errors.require(holds, f"--{flag}", value, advice)


def require_seed(flag: str, seed: int) -> None:
    """Raises the ``CrcdError`` that names the flag and its value unless it is a seed."""
    require(0 <= seed < 2**31, flag, seed, "give a number from 0 to 2147483647")


def in_epochs(value: float, epochs: int) -> float:
    """A number of epochs that is given as such or, where below 1, as a share of all ``epochs``."""
    return round(value * epochs) if value < 1 else value


def require_epochs(flag: str, value: float, source: str, epochs: int) -> None:
    """Raises the ``CrcdError`` that names the flag and its value if that is a share of too few epochs to be one.

    Args:
        flag: of the value.
        value: as ``in_epochs`` takes it.
        source: flag that all epochs are of.
        epochs: how many they are.
    """
    advice = f"of the {epochs} of --{source} this share is less than one, give a greater one or a number of epochs"
    require(in_epochs(value, epochs) > 0, flag, value, advice)


def require_milestones(milestones: tuple[float, ...], source: str, epochs: int) -> None:
    """Raises the ``CrcdError`` that names the milestone that is less than an epoch, or lies past the last one.

    Args:
        milestones: as ``in_epochs`` takes them.
        source: flag that all epochs are of.
        epochs: how many they are.
    """
    for milestone in milestones:
        require_epochs("milestones", milestone, source, epochs)
        advice = f"the {epochs} of --{source} end before the rate falls there, give fewer epochs or a share below 1"
        require(in_epochs(milestone, epochs) < epochs or milestone < 1, "milestones", milestone, advice)


def require_workers(count: int) -> None:
    """Raises ``CrcdError`` unless so many processes may decode images."""
    require(0 <= count <= MOST_WORKERS, "workers", count, f"give 0 to {MOST_WORKERS}")


def exclusive(flag: str, given: bool, other: str, other_given: bool) -> None:
    """Raises ``CrcdError`` if both of two flags are given that exclude each other."""
    if given and other_given:
        raise CrcdError(f"--{flag} and --{other} exclude each other: leave one out")


def parse_duration(text: str) -> float:
    """Seconds of ``90``, ``90s``, ``9m`` or ``1h30m``.

    Raises:
        CrcdError: the text is none of these, or not above 0.
    """
    match = re.fullmatch(r"(?:([\d.]+)h)?(?:([\d.]+)m)?(?:([\d.]+)s?)?", text.strip())
    try:
        parts = [float(part or 0) for part in match.groups()] if match else []
    except ValueError:
        parts = []
    seconds = sum(part * unit for part, unit in zip(parts, (3600, 60, 1), strict=False))
    require(seconds > 0, "time-budget", text, "give a time such as 90s, 9m or 1h30m")
    return seconds
