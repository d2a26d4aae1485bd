"""The site is built without a warning, has a page for each method, and asks nothing of a network."""

import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from crcd.methods import METHODS, method_names
from crcd.train.config import DistillConfig
from pages import ROOT

pytest.importorskip("furo", reason='the extra is absent: pip install ".[docs]"')
pytestmark = pytest.mark.slow

LOADING = {"script": "src", "link": "href", "img": "src", "iframe": "src", "source": "src", "object": "data"}
"""Elements for which a browser asks without being told to, and the attribute that says what for."""


class Page(HTMLParser):
    """What a page loads and links to, its title and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads, self.links, self.tags, self.identifiers = [], [], [], set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.tags.append(tag)
        self.identifiers.add(values.get("id"))
        if tag in LOADING and values.get(LOADING[tag]) and values.get("rel") not in ("index", "search", "next", "prev"):
            self.loads.append(values[LOADING[tag]])
        if tag == "a" and "href" in values:
            self.links.append(values["href"])


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-n", "-q", "-E", "-d", out / "doctrees"]
    done = subprocess.run([*command, ROOT / "docs", out / "html"], capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return out / "html"


@pytest.fixture(scope="module")
def pages(site) -> dict[str, Page]:
    found = {str(path.relative_to(site)): path.read_text(encoding="utf-8") for path in site.rglob("*.html")}
    return {name: Page(text) for name, text in found.items()}


def test_every_method_has_its_page(site, pages):
    assert {f"methods/{name}.html" for name in method_names()} <= pages.keys()
    for name, (kind, settings) in METHODS.items():
        text = (site / "methods" / f"{name}.html").read_text(encoding="utf-8")
        (title,) = re.findall(r"<h1>(\w+): ", text)
        assert title == name
        assert kind.__name__ in text
        for setting in settings.__dataclass_fields__:
            assert f">{setting}</span>" in text, (name, setting)
        assert "math" in pages[f"methods/{name}.html"].tags
        assert re.search(r"\d ± \d", text)
        (command,) = re.findall(r"crcd distill --methods [^\n]+", re.sub(r"<[^>]+>", "", text))
        learners = command.split()[3:]
        assert {"ce", name} <= set(DistillConfig(methods=tuple(learners)).methods)


def test_the_pages_a_reader_looks_for_are_there(pages):
    expected = "index quickstart shrink method results performance distributed extending troubleshooting loop"
    assert {f"{name}.html" for name in expected.split()} <= pages.keys()
    assert {"contributing.html", "changelog.html", "third-party.html", "api/index.html"} <= pages.keys()


def test_nothing_is_loaded_from_elsewhere(site, pages):
    for name, page in pages.items():
        assert page.loads
        for load in page.loads:
            assert not re.match(r"(?:\w+:)?//|data:text/html", load), (name, load)
            assert (site / name).parent.joinpath(load.partition("?")[0].partition("#")[0]).exists(), (name, load)
    for style in site.rglob("*.css"):
        text = re.sub(r"/\*.*?\*/", "", style.read_text(encoding="utf-8"), flags=re.DOTALL)
        assert not re.search(r"@import|url\(['\"]?(?:https?:)?//", text), style


def test_links_within_the_site_lead_somewhere(site, pages):
    for name, page in pages.items():
        for link in page.links:
            if re.match(r"\w+:", link):
                continue
            path, _, anchor = link.partition("#")
            target = (site / name).parent.joinpath(path).resolve() if path else site / name
            assert target.exists(), (name, link)
            if anchor and target.suffix == ".html":
                assert anchor in pages[str(target.relative_to(site))].identifiers, (name, link)


def test_numbers_of_the_results_page_are_the_ledgers(site):
    text = (site / "results.html").read_text(encoding="utf-8")
    lines = [json.loads(line) for line in (ROOT / "results" / "ledger.jsonl").read_text(encoding="utf-8").splitlines()]
    top1 = [line["result"]["top1"] for line in lines if (line["setup"], line["method"]) == ("digits", "crcd+kd")]
    assert f"{sum(top1) / len(top1):.2f} ± " in text
