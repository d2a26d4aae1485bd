import pytest
import torch

from crcd.errors import CrcdError
from crcd.models import create_model, library_of
from crcd.models.classes import head_tensors, match_classes, select_classes

OWN = [
    frozenset({"n01", "tench", "Tinca tinca"}),
    frozenset({"n02", "gold_fish"}),
    frozenset({"crane"}),
    frozenset({"crane"}),
]


def test_classes_match_by_any_name_in_the_datas_order():
    assert match_classes(OWN, ["Gold-Fish", "tinca  TINCA"]) == [1, 0]
    assert match_classes(OWN, ["n02"]) == [1]


def test_names_that_differ_in_capitals_and_hyphens_alone_match_letter_for_letter():
    own = [frozenset({name}) for name in ("A", "T-shirt", "a", "t_shirt", "Coat")]
    assert match_classes(own, ["a", "A", "coat", "t_shirt", "T-shirt"]) == [2, 0, 4, 3, 1]
    with pytest.raises(CrcdError, match=r"1 of the data's 2 are not among them \(t shirt\)"):
        match_classes(own, ["t shirt", "A"])


def test_a_number_of_wordnet_goes_before_the_name():
    own = [frozenset({"n02012849", "crane"}), frozenset({"n03126707", "crane"})]
    assert match_classes(own, ["crane (n03126707)", "crane (n02012849)"]) == [1, 0]


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        (["tench", "zebra"], r"1 of the data's 2 are not among them \(zebra\)"),
        (["crane"], r"1 of the data's 1 are not among them \(crane\)"),
        (["tench", "n01"], "several are one of them"),
        ([f"x{i}" for i in range(9)], r"9 of the data's 9 are not among them \(x0, x1, x2, x3, x4, \.\.\.\)"),
    ],
)
def test_classes_that_are_not_there(names, problem):
    with pytest.raises(CrcdError, match=problem):
        match_classes(OWN, names)


@pytest.mark.parametrize("name", ["resnet8", "timm/resnet10t", "timm/resnetv2_18", "timm/repvit_m0_9"])
def test_chosen_classes_give_their_own_logits(name):
    torch.manual_seed(0)
    large, small = create_model(name, 6).eval(), create_model(name, 3).eval()
    small.load_state_dict(select_classes(large.state_dict(), head_tensors(name, 3, 3), [4, 0, 5]))
    image = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(small(image), large(image)[:, [4, 0, 5]])


@pytest.mark.parametrize("name", ["timm/resnet18", "torchvision/resnet18"])
def test_libraries_name_imagenets_classes_and_what_images_they_take(name):
    library, inner = library_of(name)
    classes = library.class_names(inner)
    assert len(classes) == 1000
    assert match_classes(classes, ["goldfish", "tench", "hen"]) == [1, 0, 8]
    images = library.image_format(inner)
    assert (images.channels, images.size) == (3, 224)
    assert images.mean == (0.485, 0.456, 0.406)
