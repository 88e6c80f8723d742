"""The documentation as a site (make site), opened from the disk in a real browser: search, formulas, colours, a phone.

Run with `make browser`, which makes the site first."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from lightning_diff.config.paths import PACKAGE_FOLDER
from tests.browser.driven import findings, on_a_phone, quiet, width_needed

SITE = PACKAGE_FOLDER / "build" / "site"
LOOKED_AT = ("index.html", "docs/story.html", "docs/options.html", "docs/measure.html", "docs/reference/library.html")


def open_page(browser: Any, page: str) -> None:
    browser.get((SITE / page).as_uri())


def colour(browser: Any) -> str:
    return str(browser.execute_script("return getComputedStyle(document.body).backgroundColor"))


def test_the_search_finds_a_page_without_a_server(browser: Any) -> None:
    open_page(browser, "index.html")
    browser.execute_script("document.querySelector('[data-md-component=search-query]').focus()")
    field = browser.find_element(By.CSS_SELECTOR, "[data-md-component=search-query]")
    field.send_keys("orthogonalised")
    found = lambda b: b.find_elements(By.CSS_SELECTOR, ".md-search-result__link")  # noqa: E731
    WebDriverWait(browser, 30).until(found)
    assert "docs/options.html" in found(browser)[0].get_attribute("href")
    quiet(browser)


def test_formulas_are_drawn_by_the_browser(browser: Any) -> None:
    open_page(browser, "docs/options.html")
    formulas = browser.find_elements(By.CSS_SELECTOR, ".formula math")
    assert len(formulas) >= 8
    assert all(f.size["height"] > 15 and f.size["width"] > 80 for f in formulas)
    assert "\\(" not in browser.find_element(By.TAG_NAME, "article").text
    quiet(browser)


def test_the_colours_are_those_of_the_system(browser: Any, request: pytest.FixtureRequest) -> None:
    open_page(browser, "index.html")
    dark = "dark" in request.node.name
    assert (sum(map(int, colour(browser).removeprefix("rgb(").removesuffix(")").split(","))) < 384) is dark


@pytest.mark.parametrize("page", LOOKED_AT)
def test_axe_finds_nothing_serious_and_a_phone_need_not_scroll_sideways(browser: Any, page: str) -> None:
    open_page(browser, page)
    assert findings(browser) == []
    on_a_phone(browser)
    open_page(browser, page)
    assert width_needed(browser) == 390 and findings(browser) == []
    quiet(browser)


def test_every_link_and_picture_of_every_page_is_there(browser: Any) -> None:
    """Also those that the theme makes."""
    script = (
        "return [...document.querySelectorAll('a[href]')].map(a => a.href).concat([...document.images].map(i => i.src))"
    )
    for page in sorted(SITE.rglob("*.html")):
        if page.name == "404.html":
            continue
        browser.get(page.as_uri())
        for address in set(browser.execute_script(script)):
            if address.startswith("file:"):
                assert Path(unquote(urlparse(address).path)).exists(), f"{page.relative_to(SITE)}: {address}"
            else:
                assert address.startswith(("https://arxiv.org/", "https://comet.com", "data:")), address
