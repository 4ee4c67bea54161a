"""The report: everything escaped, nothing loaded, readable at the width of a phone, opened in a real browser."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from crowdpyro import DataError
from crowdpyro.report.page import chapter, render, write_report
from crowdpyro.report.pictures import EDGE, WIDTH, inline_svg, strips
from crowdpyro.studies.cell import Cell
from crowdpyro.studies.comparison import Difference
from crowdpyro.studies.store import ResultsStore
from crowdpyro.studies.study import Method, Protocol
from crowdpyro.studies.verdict import Verdict

HOSTILE = "<script>alert('x')</script> & \"quoted\" <img src=http://example.org/x.png onerror=alert(1)>"


def figures(frame: pd.DataFrame) -> list[tuple[str, str, Figure]]:
    figure = Figure(figsize=(7, 3))
    axes = figure.subplots()
    axes.plot([0, 1, 2], [0, 1, 4], label=HOSTILE)
    axes.imshow(np.eye(3), extent=(0, 2, 0, 4), aspect="auto", alpha=0.2)
    axes.legend()
    return [("A curve", f"What it shows: {len(frame)} rows.", figure), (HOSTILE, HOSTILE, figure)]


def tables(frame: pd.DataFrame) -> list[tuple[str, str, pd.DataFrame]]:
    return [("Counts", "By method.", frame.groupby(["protocol", "method"]).agg(rows=("value", "size")))]


@pytest.fixture(scope="module")
def hostile(simulated, store):
    """The study with markup in every text that a person may have written."""
    study = replace(
        simulated,
        title=HOSTILE,
        meaning=HOSTILE,
        protocols=(Protocol("problem", HOSTILE, HOSTILE), simulated.protocols[1]),
        methods=tuple(
            Method(each.name, HOSTILE, each.kind, each.references, each.protocols) for each in simulated.methods
        ),
        figures=figures,
        tables=tables,
    )
    copied = ResultsStore(store.folder.parent / "hostile")
    shutil.copytree(store.folder, copied.folder)
    copied.fail(Cell("simulated", "problem", HOSTILE, "table", 9), f"Traceback\nValueError: {HOSTILE}")
    return study, copied


@pytest.fixture(scope="module")
def page(hostile, tmp_path_factory) -> Path:
    """A page of two studies, one of them hostile."""
    study, store = hostile
    path = tmp_path_factory.mktemp("report") / "report.html"
    plain = chapter(replace(study, name="plain", title="Plain"), store)
    path.write_text(render([chapter(study, store), plain]), encoding="utf-8")
    return path


class Tags(HTMLParser):
    """Names of the elements, and what their attributes would load."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.links: list[str] = []
        self.handlers: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href", "srcset")]
        self.handlers += [name for name, _ in attrs if name.startswith("on")]


def test_every_text_is_escaped_and_nothing_is_loaded(page):
    text = page.read_text(encoding="utf-8")
    tags = Tags(text)
    assert not tags.names & {"script", "img", "iframe", "object", "link", "base", "form"}
    assert tags.handlers == []
    assert tags.links
    assert all(link.startswith(("#", "data:image/png;base64,")) for link in tags.links)
    assert "&lt;script&gt;alert(" in text
    assert not re.search(r"url\((?!#)", text)
    assert "@import" not in text
    assert "default-src 'none'" in text


def test_the_page_says_who_wins_before_anything_else_and_stands_every_part(simulated, store):
    text = render([chapter(simulated, store)])
    first = re.search(r"<h1>.*?</h1>\s*<p class=\"winner\">(.*?)</p>", text, re.DOTALL)
    assert first is not None
    assert first[1].startswith("Unseen problems: crowd, ")
    for said in ("paper, Gemma 3-12B", "0.45", "trust", "Against the best competitor", "Calibration of crowd, gpt4",
                 "Unseen problems: 0, 1, 2, 3", "holds out 50.0", "pyro-ppl", "revision 1"):  # fmt: skip
        assert said in text
    assert "A point of a curve" not in text
    assert "failed" not in text


def test_the_page_is_the_same_each_time(hostile):
    study, store = hostile
    assert render([chapter(study, store)]) == render([chapter(study, store)])


def test_a_studys_own_verdict_takes_the_place_of_the_rule(simulated, store):
    own = replace(simulated, verdict=lambda frame: Verdict("walk away", "Histograms win.", ("Because.",)))
    text = render([chapter(own, store)])
    assert '<p class="winner">Histograms win.</p>' in text
    assert "The rule, on the first column" not in text


def test_a_studys_own_tables_stand_beside_the_page(hostile, tmp_path, monkeypatch):
    study, store = hostile
    monkeypatch.setattr("crowdpyro.report.page.find", lambda name: study)
    folder = shutil.copytree(store.folder, tmp_path / "study")
    assert write_report(folder) == folder / "report.html"
    wanted = study.tables(store.read())[0][2]
    pd.testing.assert_frame_equal(
        pd.read_csv(folder / "tables" / "counts.csv"), wanted.reset_index(), check_dtype=False
    )


def test_strips_share_a_scale_and_mark_what_holds_zero():
    inside, across = Difference(0.1, 0.05, 0.15, 3, 10, 3), Difference(0.0, -0.1, 0.1, 3, 10, 1)
    far = Difference(5.0, 4.9, 5.1, 3, 10, 3)
    a, b, none, c = strips([inside, across, None, far])
    assert none is None
    assert (a.sure, b.sure) == (True, False)
    assert b.at == WIDTH / 2
    assert b.high - b.at == pytest.approx(2 * (a.high - a.at))
    assert (c.beyond, c.at) == (1, WIDTH - EDGE)


def test_pictures_take_the_pages_ink_and_share_no_ids():
    (_, _, figure), *_ = figures(pd.DataFrame())
    one, other = inline_svg(figure, "a"), inline_svg(figure, "b")
    assert one.startswith('<svg fill="currentColor"')
    assert "#000000" not in one
    assert not set(re.findall(r'id="(clip[^"]*|p[0-9a-f]{6,})"', one)) & set(re.findall(r'id="([^"]*)"', other))


def test_results_of_another_revision_or_of_no_study_are_not_reported(simulated, store, tmp_path, monkeypatch):
    monkeypatch.setattr("crowdpyro.report.page.find", lambda name: simulated)
    copy = shutil.copytree(store.folder, tmp_path / "simulated")
    origin = json.loads((copy / "study.json").read_text(encoding="utf-8"))
    for change, message in (
        ({"revision": 7}, "results of revision 7 of 'simulated', and this crowdpyro has revision 1"),
        ({"study": None}, "names no study"),
    ):
        (copy / "study.json").write_text(json.dumps(origin | change), encoding="utf-8")
        with pytest.raises(DataError, match=message):
            write_report(copy)
    few = {name: origin[name] for name in ("study", "revision")}
    (copy / "study.json").write_text(json.dumps(few), encoding="utf-8")
    write_report(copy)
    # A study that has begun and has no cell yet does not stand in the way of others.
    begun = tmp_path / "other"
    begun.mkdir()
    (begun / "study.json").write_text(json.dumps(few), encoding="utf-8")
    assert write_report(tmp_path).is_file()


def test_each_competitor_stands_beside_the_crowd(simulated, store):
    page = render([chapter(simulated, store)])
    table = page.partition("crowd, gpt4 beside each competitor</summary>")[2].partition("</table>")[0]
    assert [name in table for name in ("table of counts, gpt4", "LLM alone, gpt4", "training marginal")] == [True] * 3
    assert "table of counts, llama" not in table
    assert table.count(" *") >= 3


def test_a_folder_without_results_is_named(tmp_path):
    with pytest.raises(DataError, match="holds no study's results"):
        write_report(tmp_path)


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    """A headless Chromium of the system."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    binary = next(filter(None, map(shutil.which, names)), None)
    if binary is None:
        pytest.skip(f"no Chromium on the path ({', '.join(names)}); `apt-get install chromium` brings one")
    with playwright.sync_playwright() as started:
        # Inside of a container there is no sandbox to be had.
        opened = started.chromium.launch(executable_path=binary, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_a_browser_shows_it_without_complaint(browser, page, width, scheme):
    tab = browser.new_page(viewport={"width": width, "height": 844}, color_scheme=scheme)
    said: list[str] = []
    tab.on("console", lambda message: said.append(message.text))
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.on("dialog", lambda dialog: said.append(dialog.message))
    tab.on("request", lambda request: said.append(request.url))
    tab.goto(page.as_uri())
    assert said == [page.as_uri()]
    # Wide tables scroll inside of themselves: the page itself does not.
    assert tab.evaluate("document.documentElement.scrollWidth") == width
    assert tab.locator("h1").first.is_visible()
    sizes = tab.evaluate(
        "[...document.querySelectorAll('p, li, td, dd')].map(e => parseFloat(getComputedStyle(e).fontSize))"
    )
    assert min(sizes) >= 12
    assert contrast(tab) > 4.5
    assert tab.locator("figure svg").count() == 4
    ink = tab.evaluate("getComputedStyle(document.querySelector('figure svg')).fill")
    assert ink == tab.evaluate("getComputedStyle(document.body).color")
    tab.close()


def contrast(tab) -> float:
    """Of the quietest text of the page against its background, as WCAG 2 has it."""
    colours = tab.evaluate(
        "[...new Set([...document.querySelectorAll('p, li, td, th, dd, dt, span, strong, a')]"
        ".map(e => getComputedStyle(e).color))]"
    )
    paper = luminance(tab.evaluate("getComputedStyle(document.body).backgroundColor"))
    ratios = [(max(ink, paper) + 0.05) / (min(ink, paper) + 0.05) for ink in map(luminance, colours)]
    return min(ratios)


def luminance(colour: str) -> float:
    channels = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear))
