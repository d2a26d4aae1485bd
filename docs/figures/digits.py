"""Draws the ledger's digits, every method: python docs/figures/digits.py docs/figures."""

from drawing import draw
from matplotlib.figure import Figure

from crcd.compare.statistics import spread_over_seeds
from crcd.methods.names import split_name
from ledger_tables import scores_of


def digits() -> Figure:
    """Accuracy of every learner, mean and standard deviation over the seeds, best first."""
    top1 = {
        method: spread_over_seeds(scores)
        for method, scores in scores_of("digits").items()
        if "crcd" not in split_name(method)[1]  # its other forms are in the tables
    }
    order = sorted(top1, key=lambda method: -top1[method].mean)
    figure = Figure(figsize=(7.5, 5.6), layout="constrained")
    axes = figure.add_subplot()
    for place, method in enumerate(order):
        own = top1[method]
        colour = "#d6604d" if "crcd" in method else "#7f7f7f" if method in ("ce", "kd") else "#2166ac"
        axes.errorbar(own.mean, place, xerr=own.std, fmt="o", color=colour, markersize=5, capsize=2, linewidth=1)
    axes.set_yticks(range(len(order)), order)
    axes.invert_yaxis()
    axes.set_xlabel("top-1, %: mean and standard deviation over seeds")
    return figure


if __name__ == "__main__":
    draw({"methods-digits": digits}, __doc__)
