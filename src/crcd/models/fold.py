"""A frozen network without the batch normalisations that its convolutions can absorb."""

from collections import Counter
from copy import deepcopy
from typing import Any

from torch import fx, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd
from torch.nn.utils.fusion import fuse_conv_bn_eval

# Exact types: a subclass may compute something else (standardise its weight, activate).
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


class _Tracer(fx.Tracer):
    """Traces down to convolutions and batch normalisations; whatever holds none of them stays one call."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        if isinstance(m, _ConvNd | _BatchNorm):
            return True
        return not any(isinstance(part, _ConvNd | _BatchNorm) for part in m.modules())


def fold_batchnorm(model: nn.Module) -> nn.Module:
    """A copy of a network in eval mode in which convolutions have absorbed the BatchNorm that directly follows.

    With running mean m, variance v, scale g and shift h: W' = W g / sqrt(v + eps), b' = (b - m) g / sqrt(v + eps) + h.
    The copy is of the model's own class with all its methods, each folded BatchNorm an identity, or the
    activation that timm's BatchNormAct2d holds. Only plain layers that each run once are folded; a network that
    torch.fx cannot trace is copied as it is.
    """
    from timm.layers.norm_act import BatchNormAct2d  # slow to import

    folded = deepcopy(model).eval()  # the fusion asks for eval mode
    for conv_name, norm_name in _foldable_pairs(folded, (*NORMS, BatchNormAct2d)):
        conv: Any = folded.get_submodule(conv_name)
        norm: Any = folded.get_submodule(norm_name)
        folded.set_submodule(conv_name, fuse_conv_bn_eval(conv, norm))
        folded.set_submodule(norm_name, norm.act if type(norm) is BatchNormAct2d else nn.Identity())
    return folded.eval()


def _foldable_pairs(model: nn.Module, norms: tuple[type, ...]) -> list[tuple[str, str]]:
    try:
        graph = _Tracer().trace(model)
    except Exception:  # tracing runs the model's own code on symbols, which can fail in any way
        return []
    layers = dict(model.named_modules())
    calls = Counter(node.target for node in graph.nodes if node.op == "call_module")

    def runs_once(node: Any, types: tuple[type, ...]) -> bool:
        return (
            isinstance(node, fx.Node)
            and node.op == "call_module"
            and type(layers[str(node.target)]) in types
            and calls[node.target] == 1
        )

    return [
        (str(node.args[0].target), str(node.target))
        for node in graph.nodes
        if runs_once(node, norms)
        and layers[node.target].running_mean is not None
        and runs_once(node.args[0], CONVOLUTIONS)
        and len(node.args[0].users) == 1
    ]
