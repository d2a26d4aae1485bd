"""Batch normalisation over the whole batch where several processes hold a part of it each."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from crcd import distributed


@contextmanager
def whole_batch_statistics(enabled: bool) -> Iterator[None]:
    """Networks run inside normalise by the moments of all processes' parts, which must be of one size.

    It is the call of ``torch.nn.functional.batch_norm`` that is replaced, not the layer: layers that are more than
    batch normalisation (timm's with an activation) keep the rest, and no network is rebuilt.
    """
    if not enabled or distributed.size() == 1:
        yield
        return
    with _WholeBatch():
        yield


class _WholeBatch(TorchFunctionMode):
    def __torch_function__(
        self,
        func: Any,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        replaced = batch_norm if func is F.batch_norm else func
        return replaced(*args, **(kwargs or {}))


def batch_norm(
    x: Tensor,
    running_mean_C: Tensor | None,
    running_var_C: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """``torch.nn.functional.batch_norm`` with the moments of all processes' x, [b, C, ...] of one shape each.

    With each process's mean m_r and variance v_r over its own batch and places, the whole's are m = mean_r m_r and
    v = mean_r (v_r + (m_r - m)^2); y = (x - m) / sqrt(v + eps) * weight + bias. Gradients pass through the moments of
    all processes.
    """
    if not training:
        return F.batch_norm(x, running_mean_C, running_var_C, weight, bias, False, momentum, eps)
    shape = [1, -1, *[1] * (x.dim() - 2)]
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    var_C, mean_C = torch.var_mean(wide, [d for d in range(x.dim()) if d != 1], correction=0)
    mean_RC, var_RC = distributed.gather(torch.stack([mean_C, var_C])[None], distributed.size()).unbind(dim=1)
    mean_C = mean_RC.mean(dim=0)
    var_C = (var_RC + (mean_RC - mean_C).square()).mean(dim=0)
    if running_mean_C is not None and running_var_C is not None:
        count = distributed.size() * x.numel() // x.shape[1]
        with torch.no_grad():
            running_mean_C.lerp_(mean_C, momentum)
            running_var_C.lerp_(var_C * count / max(1, count - 1), momentum)
    scale_C = (var_C + eps).rsqrt() if weight is None else weight * (var_C + eps).rsqrt()
    y = (wide - mean_C.view(shape)) * scale_C.view(shape)
    return (y if bias is None else y + bias.view(shape)).to(x.dtype)
