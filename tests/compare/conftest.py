import json
from dataclasses import asdict

import pytest

from crcd.compare.ledger import Entry
from crcd.config_file import WITHOUT_EFFECT, to_plain
from crcd.train.config import DistillConfig


@pytest.fixture(scope="session")
def entry():
    """Makes an entry of the digits that was never measured: method, seed, accuracy, and what else is told."""

    def make(
        method: str,
        seed: int,
        top1: float,
        *,
        setup: str = "digits",
        pair: str = "resnet20/resnet8",
        **settings: object,
    ) -> Entry:
        teacher, student = pair.split("/")
        config = DistillConfig(methods=(method,), teacher=teacher, student=student, **settings)
        plain = {name: value for name, value in to_plain(config).items() if name not in WITHOUT_EFFECT}
        return Entry(
            recipe="digits",
            setup=setup,
            method=method,
            seed=seed,
            result={"model": student, "top1": top1, "kl": top1 / 100},
            top1_by_epoch=[top1],
            teacher={"model": teacher, "top1": 99.0, "weights": "ab", "given": False},
            run={"data": config.data, "scored_on": "test", "scored_images": 360, "commit": "c" * 40, "device": "cpu"},
            settings={name: value for name, value in plain.items() if name not in ("methods", "teacher_weights")},
        )

    return make


@pytest.fixture(scope="session")
def line():
    """An entry as a line of a ledger."""
    return lambda entry: json.dumps(asdict(entry)) + "\n"
