"""Draws report.png, the top of a report: python docs/figures/report.py RUN/report.html

The picture in this folder is of ``crcd compare digits --seeds 3 --methods ce kd itrd crcd+itrd --device cpu --out RUN``
and ``crcd report RUN --device cpu``. It needs ``pip install -e ".[dev]"`` and Chromium.
"""

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

WIDTH, HEIGHT = 1200, 1080


def main(page: Path) -> None:
    """Draw the picture beside this file."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        shown = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
        shown.goto(page.resolve().as_uri())
        shown.wait_for_selector("html[data-drawn]")
        shown.screenshot(path=Path(__file__).with_suffix(".png"))
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
