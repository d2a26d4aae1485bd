"""Messages that the page about troubleshooting quotes are those of the source."""

import ast
import re
from functools import cache

from pages import ROOT, blocks

PAGE = ROOT / "docs" / "troubleshooting.md"
LEAST = 20
"""Characters of its own by which a message is told from others."""
LONG = 60
"""Characters of an inserted part from which on it must be a message itself."""


@cache
def messages() -> list[re.Pattern[str]]:
    """Every text of the source, with something in place of what is inserted."""
    found = []
    for path in sorted((ROOT / "src" / "crcd").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            parts = []
            if isinstance(node, ast.JoinedStr):
                parts = [part.value if isinstance(part, ast.Constant) else None for part in node.values]
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                parts = [None if part in ("%s", "%d") else part for part in re.split("(%s|%d)", node.value)]
            if sum(len(part) for part in parts if part) >= LEAST:
                found.append(re.compile("".join("(.+)" if part is None else re.escape(part) for part in parts)))
    return found


def is_message(text: str) -> bool:
    """Whether the source says so, and of a long inserted part, too."""
    for message in messages():
        match = message.fullmatch(text)
        if match and all(len(part) < LONG or is_message(part) or " " not in part for part in match.groups()):
            return True
    return False


def test_quoted_messages_are_in_the_source():
    quoted = [block.body for block in blocks(PAGE) if block.language == "text"]
    assert len(quoted) >= 15
    for text in quoted:
        assert is_message(" ".join(text.split())), text


def test_a_changed_message_is_found_out():
    (first, *_) = (block.body for block in blocks(PAGE) if block.language == "text")
    text = " ".join(first.split())
    assert is_message(text)
    assert not is_message(text.replace("are drawn", "are taken"))
    assert not is_message("there is nothing of this kind in the whole of the source")
