"""What the scripts beside this one share: where the project's other folders are, and the command that draws figures."""

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from matplotlib import rc_context
from matplotlib.figure import Figure

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "results"
sys.path += [str(ROOT / "benchmarks"), str(RESULTS)]

from figures import STYLE


def draw(figures: Mapping[str, Callable[[], Figure]], description: str | None) -> None:
    """Write figures as SVG into the folder that the command line names."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("folder", type=Path, help="where the figures go; made where it does not exist")
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    with rc_context(STYLE):
        for name, figure in figures.items():
            figure().savefig(folder / f"{name}.svg", metadata={"Date": None})
