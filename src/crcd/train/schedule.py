"""Learning rate and distillation weight as pure functions of time."""

import math

from crcd.train.options import OptimiserOptions, in_epochs


def learning_rate(options: OptimiserOptions, epoch: int, step: int, steps_per_epoch: int) -> float:
    """Learning rate of one step.

    Warm-up of W steps: lr (t + 1) / W at step t < W of the run. Afterwards, with ``step``,
    lr gamma^n with n milestones m <= epoch (a milestone below 1 is a share of all epochs); with ``cosine``,
    lr (1 + cos(pi (t - W) / (S - W))) / 2 with S steps in the whole run.

    Args:
        options: the rate's settings.
        epoch: from 0.
        step: within the epoch, from 0.
        steps_per_epoch: steps of every epoch.
    """
    now = epoch * steps_per_epoch + step
    warmup = round(options.warmup_epochs * steps_per_epoch)
    if now < warmup:
        return options.lr * (now + 1) / warmup
    if options.schedule == "cosine":
        share = (now - warmup) / (options.epochs * steps_per_epoch - warmup)
        return options.lr * (1 + math.cos(math.pi * share)) / 2
    passed = sum(epoch >= in_epochs(m, options.epochs) for m in options.milestones)
    return options.lr * options.gamma**passed


def distillation_weight(distill_until: float | None, epochs: int, epoch: int) -> float:
    """w(e) of the method's terms: 1 for the first ``distill_until`` epochs (None: for all), then 0.

    Args:
        distill_until: last epoch with distillation, counted from 1; a share of all epochs where below 1.
        epochs: how many there are.
        epoch: from 0.
    """
    if distill_until is None:
        return 1.0
    return 1.0 if epoch < in_epochs(distill_until, epochs) else 0.0
