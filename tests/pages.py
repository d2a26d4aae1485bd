"""The pages of the documents taken apart: code blocks, and what stands before them about how they are tested.

Before a block may stand, hidden in the page,

- ``<!-- setup ... -->``: Python that is run first;
- ``<!-- run with: WORDS -->``: each ``crcd`` command of the block is run with these words behind it;
- ``<!-- run -->``: each is run as it is;
- ``<!-- file: NAME -->``: the block is written to a file of this name;
- ``<!-- not run: REASON -->``: neither run nor parsed.
"""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(
    r"(?P<notes>(?:^<!--(?:(?!-->).)*-->\n)*)^(?P<fence>`{3,})(?P<language>[^\n`]*)\n(?P<body>.*?)^(?P=fence)\n",
    re.M | re.S,
)
NOTE = re.compile(r"<!-- (setup|run with|run|file|not run)\b:?(.*?)-->", re.S)
COMMAND_RUN_BY_CI = ("pip install . && crcd distill", 'pip install -e ".[dev]" && pytest -n auto')
"""What .ci/run runs, as the README gives it, in a fresh environment."""


@dataclass(frozen=True)
class Block:
    """One fenced block.

    Attributes:
        page: its file.
        language: after the fence; none of a README's commands.
        body: what is in it.
        notes: what is said of its test, by kind.
    """

    page: Path
    language: str
    body: str
    notes: dict[str, str]

    @property
    def is_code(self) -> bool:
        """Neither a directive of the site nor plain text, such as an output."""
        return not self.language.startswith("{") and self.language not in ("text", "output")

    @property
    def is_shell(self) -> bool:
        """Commands."""
        return self.language in ("", "console", "bash")

    @property
    def commands(self) -> list[str]:
        """One a line, joined where a line ends with a backslash."""
        return [line for line in self.body.replace("\\\n", " ").splitlines() if line.strip()]

    def runs(self) -> list[list[str]]:
        """Words of its commands, after ``crcd``, with those that make them small."""
        extra = shlex.split(self.notes.get("run with", ""))
        return [[*shlex.split(line)[1:], *extra] for line in self.commands]


def blocks(page: Path) -> list[Block]:
    """All fenced blocks of a page; a setup that stands alone is a block of its own."""
    text = page.read_text(encoding="utf-8")
    found = []
    for match in BLOCK.finditer(text):
        notes = {kind: said.strip() for kind, said in NOTE.findall(match["notes"])}
        found.append(Block(page, match["language"].strip(), match["body"], notes))
    return found


def python_blocks(page: Path) -> list[str]:
    """The Python of a page."""
    return [block.body for block in blocks(page) if block.language == "python"]
