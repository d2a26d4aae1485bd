"""Which parameters are trained, at which rate, by which rule."""

from collections.abc import Callable
from typing import Any

import torch
from timm.optim import param_groups_layer_decay, param_groups_weight_decay  # type: ignore[attr-defined]
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim import SGD, AdamW, Optimizer

from crcd.errors import CrcdError
from crcd.train.options import OptimiserOptions


class Optimiser:
    """Stochastic gradient descent or AdamW over a student and its method's parameters.

    Rates lie in tensors, which a captured step reads anew at each replay.

    Args:
        model: the student.
        method: its distillation terms, trained at the full rate; None without.
        options: the rule and its settings.
        device: where the parameters lie.
    """

    def __init__(
        self, model: nn.Module, method: nn.Module | None, options: OptimiserOptions, device: torch.device
    ) -> None:
        self.clip_norm = options.clip_norm
        groups = _groups(model, method, options)
        self.scales = [group.pop("lr_scale", 1.0) for group in groups]
        self.rates = [torch.tensor(options.lr * scale, device=device) for scale in self.scales]
        settings: dict[str, Any] = {"lr": self.rates[0], "weight_decay": options.weight_decay, "fused": True}
        self.optimizer: Optimizer
        if options.optimizer == "adamw":
            betas, on_gpu = (options.momentum, options.beta2), device.type == "cuda"
            self.optimizer = AdamW(groups, betas=betas, capturable=on_gpu, **settings)
        else:
            self.optimizer = SGD(groups, momentum=options.momentum, nesterov=options.nesterov, **settings)
            if options.momentum > 0:  # of all alike: a parameter may get its first gradient later than the others
                for parameter in self.parameters():
                    self.optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
        self._take_rates()

    def parameters(self) -> list[nn.Parameter]:
        """All that are trained."""
        return [parameter for group in self.optimizer.param_groups for parameter in group["params"]]

    def set_rate(self, learning_rate: float) -> None:
        """Set the learning rate; a layer's own is its share of it."""
        for rate, scale in zip(self.rates, self.scales, strict=True):
            rate.fill_(learning_rate * scale)

    def step(self, loss: Tensor, agree: Callable[[], None] = lambda: None) -> None:
        """Take one step down the loss.

        Args:
            loss: what the parameters' gradients are of.
            agree: changes the gradients before they are used.
        """
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        agree()
        if self.clip_norm is not None:
            clip_grad_norm_(self.parameters(), self.clip_norm)
        self.optimizer.step()

    def state_dict(self) -> dict[str, Any]:
        """What the next step depends on."""
        return self.optimizer.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a stored state."""
        self.optimizer.load_state_dict(state)
        self._take_rates()

    def _take_rates(self) -> None:
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate
            if "capturable" in group:  # the run may have begun on another device
                group["capturable"] = rate.is_cuda


def freeze(model: nn.Module, prefixes: tuple[str, ...]) -> list[nn.Module]:
    """Take parts of a network out of training.

    Args:
        model: the network.
        prefixes: names of its parts, such as ``body.stem``.

    Returns:
        The parts, which must stay in eval mode, or batch normalisation would change them.

    Raises:
        CrcdError: a name is no part's, or nothing would be left to train.
    """
    parts = dict(model.named_modules())
    for prefix in prefixes:
        if prefix not in parts or not prefix:
            outer = [name for name in parts if name and name.count(".") < 2]
            raise CrcdError(f"--freeze is {prefix}: {type(model).__name__} has no such part; it has {', '.join(outer)}")
        parts[prefix].requires_grad_(False)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise CrcdError(f"--freeze is {' '.join(prefixes)}: nothing of the student is left to train; name less")
    return [parts[prefix].eval() for prefix in prefixes]


def _groups(model: nn.Module, method: nn.Module | None, options: OptimiserOptions) -> list[dict[str, Any]]:
    """Parameters in groups of one rate and one decay."""
    decay, heads = options.weight_decay, [] if method is None else [p for p in method.parameters() if p.requires_grad]
    if options.layer_decay is not None:
        groups = param_groups_layer_decay(
            model, decay, weight_decay_exclude_1d=not options.decay_norms, layer_decay=options.layer_decay
        )
    elif not options.decay_norms:
        groups = param_groups_weight_decay(model, decay)
    else:
        own = [p for p in model.parameters() if p.requires_grad]
        return [{"params": list(dict.fromkeys([*own, *heads]))}]
    groups += [{"params": heads}] if options.decay_norms or method is None else param_groups_weight_decay(method, decay)
    return [group for group in groups if group["params"]]
