"""Tables in the forms that people put into papers, pages and spreadsheets."""

import csv
import io
from collections.abc import Sequence

from crcd.compare.statistics import spread_over_seeds
from crcd.compare.table import SCORES, Column, Table

LATEX = str.maketrans(
    {
        "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
        "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$",
    }
)  # fmt: skip
CSV_HEADER = [
    *("setup", "method", "source", "seeds", "top1", "top1_std"),
    *("difference", "difference_std", "difference_low", "difference_high", *SCORES),
]


def markdown(tables: Sequence[Table]) -> str:
    """Headings, pipe tables and their notes."""
    return "\n".join(f"### {table.title}\n\n{markdown_table(table)}\n" for table in tables)


def markdown_table(table: Table) -> str:
    """One pipe table and its notes."""
    lines = [table.header, ["---"] * len(table.header), *table.rows]
    drawn = ["| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |" for line in lines]
    return "\n".join([*drawn, *(f"\n{note}" for note in table.notes)])


def latex(tables: Sequence[Table]) -> str:
    """``table`` environments with the rules of booktabs."""
    return "\n".join(_latex_table(table) for table in tables)


def csv_rows(columns: Sequence[Column]) -> str:
    """One row for each setup and method, numbers unrounded, percent and points; then those that others report."""
    text = io.StringIO()
    writer = csv.DictWriter(text, CSV_HEADER, restval="", lineterminator="\n")
    writer.writeheader()
    for column in columns:
        for method in column.entries:
            own, gain = spread_over_seeds(column.scores(method)), column.gain(method)
            row = {"setup": column.label, "method": method, "source": "measured", "seeds": own.n, "top1": own.mean}
            row |= {"top1_std": own.std} if own.n > 1 else {}
            if gain is not None:
                row |= {"difference": gain.mean}
                spreads = {"difference_std": gain.std, "difference_low": gain.low, "difference_high": gain.high}
                row |= spreads if gain.n > 1 else {}
            for name in SCORES:
                values = column.scores(method, name)
                row |= {name: spread_over_seeds(values).mean} if values else {}
            writer.writerow(row)
        for (method, source), value in column.published().items():
            writer.writerow({"setup": column.label, "method": method, "source": source, "top1": value})
    return text.getvalue()


def _latex_table(table: Table) -> str:
    def line(cells: Sequence[str]) -> str:
        return " & ".join(cell.translate(LATEX) for cell in cells) + r" \\"

    return "\n".join(
        [
            r"\begin{table}",
            rf"\caption{{{table.title.translate(LATEX)}}}",
            rf"\begin{{tabular}}{{l{'r' * (len(table.header) - 1)}}}",
            r"\toprule",
            line(table.header),
            r"\midrule",
            *map(line, table.rows),
            r"\bottomrule",
            r"\end{tabular}",
            *(rf"\par {note.translate(LATEX)}" for note in table.notes),
            r"\end{table}",
            "",
        ]
    )
