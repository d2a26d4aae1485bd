"""What a network costs: parameters and multiply-adds."""

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


def count_parameters(model: nn.Module) -> int:
    """Number of trained values; a parameter shared by several layers counts once, buffers do not count."""
    return sum(parameter.numel() for parameter in model.parameters())


def count_multiply_adds(model: nn.Module, image_shape: tuple[int, int, int]) -> int:
    """Multiply-adds of all convolutions and matrix products for one image in eval mode.

    One multiply-add is one multiplication and one addition, two floating-point operations. Biases,
    normalisations, activations and pooling are left out, as the literature does.

    Args:
        model: the network; its train and eval modes are as before afterwards.
        image_shape: channels, height and width of the image.
    """
    parameter = next(model.parameters())
    image = torch.zeros(1, *image_shape, device=parameter.device, dtype=parameter.dtype)
    training = [module for module in model.modules() if module.training]
    counter = FlopCounterMode(display=False)
    try:
        model.eval()
        with torch.no_grad(), counter:
            model(image)
    finally:
        for module in training:
            module.training = True
    return counter.get_total_flops() // 2
