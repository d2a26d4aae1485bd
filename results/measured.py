"""Writes the tables of README.md and results/README.md anew from the ledger and the files of the benchmarks.

python results/measured.py
"""

import argparse
import json
import re
import shlex
from dataclasses import replace

from benchmark_tables import TABLES, machine
from crcd.cli.compare import plan
from crcd.compare.formats import markdown_table
from crcd.compare.ledger import Ledger
from crcd.compare.table import columns, tables
from jobs import JOBS
from ledger_tables import LEDGER, RESULTS, beside, by_teacher, costs, less, probe, ranks, short_names, side_by_side

PAGES = (RESULTS.parent / "README.md", RESULTS / "README.md")


def benchmark(name: str) -> str:
    """A table of what a benchmark measured."""
    result = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return f"{TABLES[result['benchmark']](result)}\n\n{machine(result)}"


def compared(words: str) -> str:
    """What ``crcd compare WORDS`` draws of the ledger."""
    asked = plan([*shlex.split(words), "--ledger", str(LEDGER)])
    entries = [entry for comparison in asked.comparisons for entry in comparison.entries()]
    return "\n\n".join(map(markdown_table, tables(columns(entries, asked.baselines))))


def every_line(job: str) -> str:
    """All lines of a job, paired whichever way its teacher came."""
    own = [entry for entry in Ledger(LEDGER).entries if entry.setup == JOBS.get(job, job)]
    names = short_names({entry.method for entry in own})
    entries = [replace(e, method=names[e.method], teacher={**e.teacher, "given": False}) for e in own]
    return "\n\n".join(map(markdown_table, tables(columns(entries, {entry.setup: "kd" for entry in entries}))))


BLOCKS = {
    r"crcd compare (.+)": compared,
    r"ledger (.+)": every_line,
    r"beside (.+) with (\S+)": beside,
    r"less (.+?) of (.+?) by teacher for (.+)": by_teacher,
    r"less (.+?) of (.+?)(?:, seeds ([\d ]+?))?(?: for (.+))?": less,
    r"(.+) side by side, less (\S+), for (.+)": side_by_side,
    r"costs in (.+) over (\S+), for (.+)": costs,
    r"ranks of (.+) and (.+)": ranks,
    r"probe (\S+) less (\S+)": probe,
    r"([\w-]+)": benchmark,
}
"""What stands between ``<!-- HEADING: begin -->`` and ``<!-- end -->``, by what its heading is: what a command draws;
all lines of a job; what CRCD adds to its other methods; its methods, or those that are named, less one of them, with
each teacher counted once or over some seeds; methods less one of them in several jobs; what they cost there; two jobs
beside each other; a probe; a benchmark."""


def filled(text: str) -> str:
    """The text with its tables made anew."""

    def block(match: re.Match[str]) -> str:
        for pattern, make in BLOCKS.items():
            if found := re.fullmatch(pattern, match[1]):
                return f"<!-- {match[1]}: begin -->\n{make(*found.groups())}\n<!-- end -->"
        raise ValueError(f"no table is called '{match[1]}'")

    return re.sub(r"<!-- ([^\n]+): begin -->\n.*?<!-- end -->", block, text, flags=re.DOTALL)


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    for page in PAGES:
        page.write_text(filled(page.read_text(encoding="utf-8")), encoding="utf-8")
