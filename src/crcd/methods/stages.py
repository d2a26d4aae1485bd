"""Which feature maps of a student and a teacher belong together, and maps of two sizes made one."""

from torch import Tensor
from torch.nn import functional as F

from crcd.errors import CrcdError
from crcd.relation.view import View

ENDS = ("stem", "head")
"""Names of the maps that are no stages: what comes before the first stage and after the last one."""


def paired_stages(student: View, teacher: View) -> list[tuple[Tensor, Tensor]]:
    """The student's stages, in their order from the image on, each with its stage of the teacher, a constant.

    The last stages of both are a pair, those before them are another, and so on, until one network has none left:
    stages of the longer network that are nearest to the image stay alone. Two networks with as many stages each are
    thus paired in order, as are all pairs of networks of the CRD authors' benchmark.

    Args:
        student: its maps [B, C_s, H_s, W_s].
        teacher: its maps [B, C_t, H_t, W_t].

    Raises:
        CrcdError: a view has no stage, or one that is not [B, C, H, W].
    """
    pairs = list(zip(reversed(_stages(student, "student")), reversed(_stages(teacher, "teacher")), strict=False))
    return [(student_map, teacher_map.detach()) for student_map, teacher_map in reversed(pairs)]


def pooled_alike(student_map: Tensor, teacher_map: Tensor) -> tuple[Tensor, Tensor]:
    """Two maps [B, C, H, W] at the smaller height and the smaller width of both, by adaptive average pooling."""
    height, width = (min(student_map.shape[axis], teacher_map.shape[axis]) for axis in (2, 3))
    return _pooled(student_map, height, width), _pooled(teacher_map, height, width)


def _stages(view: View, role: str) -> list[Tensor]:
    stages = {name: stage for name, stage in view.maps.items() if name not in ENDS}
    if not stages:
        raise CrcdError(f"the {role}'s view has no feature map of a stage: read the maps of its stages")
    for name, stage in stages.items():
        if stage.dim() != 4:
            raise CrcdError(
                f"the {role}'s map '{name}' is {list(stage.shape)}, not [batch, channels, height, width]: "
                "take a network with convolutional stages, or a method without feature maps"
            )
    return list(stages.values())


def _pooled(map_BCHW: Tensor, height: int, width: int) -> Tensor:
    return map_BCHW if map_BCHW.shape[2:] == (height, width) else F.adaptive_avg_pool2d(map_BCHW, (height, width))
