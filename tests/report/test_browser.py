"""The page as a browser shows it."""

import os
import shutil

import pytest

from crcd.report.networks import Place
from crcd.report.report import write_report
from hostile_run import folder, run

pytestmark = pytest.mark.slow
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking")


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("chromium is not on this machine's PATH")
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def opened(browser):
    """Opens a page; afterwards it must have been silent and have asked for nothing but itself."""
    contexts, complaints, requests = [], [], []

    def open_page(path, width=1280, scheme="light"):
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        contexts.append(context)
        shown = context.new_page()
        shown.on("console", lambda message: complaints.append(message.text))
        shown.on("pageerror", lambda error: complaints.append(str(error)))
        shown.on("request", lambda request: requests.append(request.url))
        shown.goto(path.as_uri())
        shown.wait_for_selector("html[data-drawn]", timeout=60_000)
        requests.remove(path.as_uri())
        return shown

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []
    assert [url for url in requests if not url.startswith("data:")] == []


def marks(shown):
    """Number of drawn marks of each chart, by the title of its figure."""
    return shown.evaluate(
        """() => Object.fromEntries([...document.querySelectorAll("figure")].map((figure) => [
            figure.querySelector("h3").textContent,
            [...figure.querySelectorAll(".chart")].map((chart) => chart.querySelectorAll(
                ".role-mark path:not([opacity='0'])").length),
        ]))"""
    )


def pixels(shown, title):
    """The SVGs of a figure as text."""
    figure = shown.locator("figure", has=shown.locator("h3", has_text=title))
    return figure.evaluate("(f) => [...f.querySelectorAll('svg')].map((svg) => svg.outerHTML).join()")


def test_all_charts_are_drawn(opened, page):
    found = marks(opened(page))
    empty = {title: counts for title, counts in found.items() if counts and min(counts) == 0}
    assert empty == {"Confusions mended and new": found["Confusions mended and new"]} or empty == {}
    assert [
        len(found[title]) for title in ("Relations between images", "Maps of the features", "Loss and its parts")
    ] == [*(6, 3, 5)]
    assert found["Relations between images"] == [900] * 6
    assert sum(map(len, found.values())) == 36


@pytest.mark.parametrize("width", [390, 820, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_wider_than_the_window(opened, page, width, scheme):
    shown = opened(page, width, scheme)
    assert shown.evaluate("document.documentElement.scrollWidth") == width
    charts = shown.locator(".chart svg")
    for number in range(charts.count()):
        box = charts.nth(number).bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
    ground = shown.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    light = int(ground.split("(")[1].split(",")[0]) > 128
    assert light == (scheme == "light")


def test_a_click_on_a_learner_changes_the_figures(opened, page):
    shown = opened(page)
    changing = ["Accuracy against cost", "Accuracy while learning", "Relations between images", "Maps of the features"]
    changing += ["Schedule", "Gain of each class", "Correlation of classes", "Likeness within", "Calibration"]
    before = {title: pixels(shown, title) for title in changing}
    assert shown.locator(".answer:visible .lead").inner_text().startswith("resnet8 taught by crcd+kd")
    shown.get_by_text("kd", exact=True).first.click()
    shown.wait_for_function(
        "document.querySelector('.answer:not([hidden]) .lead').textContent.includes('taught by kd')"
    )
    shown.wait_for_timeout(500)
    same = [title for title in changing if pixels(shown, title) == before[title]]
    assert same == []
    assert shown.locator("tr.chosen").first.get_attribute("data-row") == "kd"
    assert shown.locator(".chart.empty").count() == 2  # the cosines of CRCD's relations


def test_learners_can_be_left_out_and_classes_sorted(opened, page):
    shown = opened(page)
    before = pixels(shown, "Accuracy while learning"), pixels(shown, "Gain of each class")
    shown.locator("input[name=shown]").first.uncheck()
    shown.locator("select[data-signal=sort_by]").select_option("number")
    shown.locator("select[data-signal=cost_name]").select_option("latency_64")
    shown.wait_for_timeout(500)
    assert pixels(shown, "Accuracy while learning") != before[0]
    assert pixels(shown, "Gain of each class") != before[1]
    names = shown.evaluate(
        """() => [...document.querySelector("select[data-signal=sort_by]").closest("figure")
            .querySelectorAll(".role-axis-label text[text-anchor=end]")]
            .sort((a, b) => a.getBoundingClientRect().y - b.getBoundingClientRect().y)
            .map((text) => text.textContent)"""
    )
    assert names[:10] == [str(number) for number in range(10)]  # below them is a label of the other axis


def test_values_are_shown_on_hover(opened, page):
    shown = opened(page)
    figure = shown.locator("figure", has=shown.locator("h3", has_text="Relations between images"))
    figure.locator("svg").first.scroll_into_view_if_needed()
    figure.locator("svg").first.hover()
    shown.wait_for_selector("#vg-tooltip-element.visible")
    assert "value" in shown.locator("#vg-tooltip-element").inner_text()


def test_a_bin_tells_its_own_share_wherever_it_is_touched(opened, page):
    shown = opened(page)
    figure = shown.locator("figure", has=shown.locator("h3", has_text="Likeness within and between classes"))
    svg = figure.locator("svg").first
    svg.scroll_into_view_if_needed()
    bins = svg.locator(".mark-rect path")
    assert bins.count() == 40
    box = bins.nth(30).bounding_box()
    told = set()
    for share in (0.1, 0.9):
        shown.mouse.move(box["x"] + share * box["width"], box["y"] + box["height"] / 2)
        shown.wait_for_selector("#vg-tooltip-element.visible")
        told.add(shown.locator("#vg-tooltip-element").inner_text())
    (text,) = told
    assert "0.50 to 0.55" in text
    assert {"one class, %", "two classes, %"} <= {line.split(":")[0].split("\t")[0] for line in text.splitlines()}


def test_names_cannot_break_out_of_the_page(opened, settings, tmp_path):
    path = tmp_path / "report.html"
    photos = folder(tmp_path / "photos")
    write_report([run(settings, photos, tmp_path / "run", methods=("ce", "kd@kd.weight=2"))], path, place=Place("cpu"))
    shown = opened(path)
    shown.locator(".role-axis-label text", has_text="onerror").first.wait_for()
    shown.locator("figure", has=shown.locator("h3", has_text="Maps")).locator(".role-mark path").first.hover(force=True)
    shown.wait_for_selector("#vg-tooltip-element.visible")
    assert shown.evaluate("window.broken") is None
    assert shown.locator("img").count() == 0


def test_it_prints_light_and_whole(opened, page, tmp_path):
    shown = opened(page, scheme="dark")
    shown.emulate_media(media="print", color_scheme="dark")
    assert shown.evaluate("getComputedStyle(document.documentElement).backgroundColor") == "rgb(255, 255, 255)"
    assert shown.locator(".bar").is_visible()  # the key to the colours
    assert shown.evaluate("getComputedStyle(document.querySelector('.bar')).position") == "static"
    shown.pdf(path=tmp_path / "report.pdf", format="A4")
    assert os.path.getsize(tmp_path / "report.pdf") > 100_000
