"""The page in a real browser: it fits its screen, is drawn, has a dark form, prints whole, hands out its data."""

import base64
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from browser import Browser, find_browser
from PIL import Image

from regjax.report import make_report

pytestmark = pytest.mark.skipif(find_browser() is None, reason="no Chromium on this machine")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Return a running browser."""
    found = Browser(tmp_path_factory.mktemp("profile"))
    yield found
    found.close()


@pytest.fixture(scope="module", params=["two_cell_folder", "lattice_folder", "hostile_folder"])
def page(request: pytest.FixtureRequest) -> Path:
    """Return the report of each synthetic study in turn."""
    return make_report(request.getfixturevalue(request.param))


def read_image(png: bytes) -> np.ndarray:
    """Return the pixels of a screenshot, [height, width, 3]."""
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)


@pytest.mark.parametrize("width", [390, 1280])
def test_page_fits_its_screen_and_is_not_blank(browser: Browser, page: Path, width: int) -> None:
    """Nothing makes the page wider than the screen, with all parts open, and something is drawn on it."""
    browser.open(page, width)
    browser.ask("document.querySelectorAll('details').forEach(one => { one.open = true })")
    assert browser.ask("document.documentElement.scrollWidth") == width
    pixels = read_image(browser.shoot())
    assert pixels.shape[1] == width
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 20
    assert (pixels[:, -3:] == pixels[0, 0]).all()


def test_question_verdict_and_effects_begin_on_the_first_screen(browser: Browser, page: Path) -> None:
    """On a desktop the question, the first verdict and the effect plot are seen without scrolling."""
    browser.open(page, 1280, 800)
    for part in ("h1", "#verdict li", "#effects svg"):
        top = browser.ask(f"document.querySelector('{part}').getBoundingClientRect().top")
        assert 0 <= top < 600, part


def test_a_phone_shows_the_effects_below_the_first_verdicts(browser: Browser, lattice_folder: Path) -> None:
    """Of many verdicts a phone shows the first, and the plot begins on its screen; a desktop and print show all."""
    page = make_report(lattice_folder)
    last = "[...document.querySelectorAll('.verdicts li')].at(-1).checkVisibility({contentVisibilityAuto: true})"
    seen = []
    for width in (390, 1280):
        browser.open(page, width, 844)
        assert browser.ask("document.querySelector('#effects svg').getBoundingClientRect().top") < 700
        seen.append(browser.ask(last))
    assert seen == [False, True]


def test_dark_readers_get_a_dark_page(browser: Browser, page: Path) -> None:
    """Paper and ink change places: the page is bright for readers who prefer light and dark for the others."""
    means = []
    for scheme in ("light", "dark"):
        browser.open(page, 1280, 800, scheme)
        means.append(read_image(browser.shoot()).mean())
    assert means[0] > 200
    assert means[1] < 80


def test_print_opens_what_is_closed(browser: Browser, page: Path) -> None:
    """Parts that are closed on the screen are laid out in print, and the page gives a PDF."""
    browser.open(page, 1280)
    shown = "document.querySelector('#checklist tr').checkVisibility()"
    assert browser.ask(shown) is False
    browser.call("Emulation.setEmulatedMedia", media="print")
    assert browser.ask(shown) is True
    browser.call("Emulation.setEmulatedMedia", media="")
    assert browser.print_pdf().startswith(b"%PDF")


def test_nothing_runs_and_nothing_is_fetched(browser: Browser, page: Path) -> None:
    """A page of hostile names opens no dialog, and only itself is loaded."""
    browser.call("Network.enable")
    browser.open(page, 1280)
    asked = [event["params"] for event in browser.events if event["method"] == "Network.requestWillBeSent"]
    seen = [parameters["request"]["url"] for parameters in asked]
    assert [url for url in seen if not url.startswith("data:")] in ([], [page.resolve().as_uri()])
    assert browser.ask("document.querySelectorAll('script').length") == 0
    assert not [event for event in browser.events if event["method"] == "Page.javascriptDialogOpening"]


def test_data_of_a_figure_are_downloaded(browser: Browser, two_cell_folder: Path, tmp_path: Path) -> None:
    """A click on "data (CSV)" leaves the file, in spite of the strict policy of the page."""
    browser.call(
        "Browser.setDownloadBehavior", session=False, behavior="allow", downloadPath=str(tmp_path), eventsEnabled=True
    )
    browser.open(make_report(two_cell_folder), 1280)
    uri = browser.ask("document.querySelector('a[download=\"effects.csv\"]').href")
    browser.ask("document.querySelector('a[download=\"effects.csv\"]').click()")
    browser.wait_for("Browser.downloadProgress", state="completed")
    saved = (tmp_path / "effects.csv").read_bytes()
    assert saved == base64.b64decode(uri.partition("base64,")[2])
    assert "low" in pd.read_csv(io.BytesIO(saved))
