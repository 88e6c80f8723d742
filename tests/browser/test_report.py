"""The report in a real browser: the slider moves the pictures, a point of the curve does, they are sorted, compared and zoomed,
nothing is said to the console and nothing is asked of the network.

Run with `make browser`; needs Debian's chromium and chromium-driver."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

from lightning_diff.pipeline.reports.page import make_report
from tests.browser.driven import findings, nameless, on_a_phone, quiet, width_needed


def sources(browser: Any) -> list[str]:
    images = browser.find_elements(By.CSS_SELECTOR, "section:first-of-type img")
    return [i.get_attribute("src") for i in images if i.is_displayed()]


def test_the_slider_and_the_points_choose_the_pictures(browser: Any, runs: tuple[Path, Path]) -> None:
    browser.get((runs[0] / "report.html").as_uri())
    slider = browser.find_element(By.ID, "guidance")
    slider.send_keys(Keys.HOME)
    first = sources(browser)
    assert len(first) == 4 and all(s.startswith("data:image/png") for s in first)
    assert slider.get_attribute("aria-valuetext").endswith("w = 1")
    slider.send_keys(Keys.ARROW_RIGHT)
    assert slider.get_attribute("aria-valuetext").endswith("w = 2") and sources(browser) != first
    browser.find_element(By.CSS_SELECTOR, "circle.point[data-key='2']").click()
    assert slider.get_attribute("aria-valuetext").endswith("w = 4")
    point = browser.find_element(By.CSS_SELECTOR, "circle.point[data-key='0']")
    browser.execute_script("arguments[0].focus()", point)
    point.send_keys(Keys.ENTER)
    assert slider.get_attribute("aria-valuetext").endswith("w = 1") and sources(browser) == first
    titles = [h.text for h in browser.find_elements(By.TAG_NAME, "h2")]
    assert titles[:5] == [
        "Look at the pictures",
        "What guidance does",
        "Guidance, seen",
        "From noise to picture",
        "Training",
    ]
    browser.execute_script("document.querySelectorAll('img').forEach(i => i.loading = 'eager')")
    missing = "return [...document.images].filter(i => !i.complete || i.naturalWidth === 0).length"
    WebDriverWait(browser, 20).until(lambda b: b.execute_script(missing) == 0)
    quiet(browser)


def test_runs_side_by_side(browser: Any, runs: tuple[Path, Path], tmp_path: Path) -> None:
    browser.get(make_report(runs, tmp_path / "both.html").as_uri())
    assert len(browser.find_elements(By.CSS_SELECTOR, "tbody tr")) == 6
    assert browser.title == "base: 2 runs by seed"
    slider, before = browser.find_element(By.ID, "guidance"), sources(browser)
    chosen = browser.execute_script("return document.getElementById('guider').value")
    choice = Select(browser.find_element(By.ID, "guider"))
    choice.select_by_visible_text(next(o.text for o in choice.options if o.text != chosen))
    assert sources(browser) != before and slider.get_attribute("max") == "2"
    legend = browser.find_elements(By.CSS_SELECTOR, ".legend button")
    next(b for b in legend if chosen in b.text).click()
    assert choice.first_selected_option.text == chosen and sources(browser) == before
    behind = browser.find_elements(By.CSS_SELECTOR, "svg g.behind")
    assert behind and all(g.get_attribute("data-series") != chosen for g in behind)
    quiet(browser)


def scores(browser: Any) -> list[float]:
    found = [e.text for e in browser.find_elements(By.CSS_SELECTOR, ".score")]
    return [float(text.split()[-1]) for text in found if "no value" not in text]


def test_pictures_are_sorted_compared_and_kept_in_the_address(browser: Any, runs: tuple[Path, Path]) -> None:
    browser.get((runs[0] / "report.html").as_uri())
    Select(browser.find_element(By.ID, "sort")).select_by_value("clip_score")
    worst = scores(browser)
    assert worst == sorted(worst) and len(set(worst)) > 1
    Select(browser.find_element(By.ID, "first")).select_by_value("best")
    assert scores(browser) == worst[::-1]
    browser.find_element(By.ID, "view-two").send_keys(Keys.SPACE)
    assert len(browser.find_elements(By.CSS_SELECTOR, ".pairs .look")) * 2 == len(sources(browser))
    apart = scores(browser)
    assert apart == sorted(apart, reverse=True)
    kept, pictures = browser.current_url, sources(browser)
    browser.get("about:blank")
    browser.get(kept)
    assert sources(browser) == pictures and scores(browser) == apart
    browser.execute_script("location.hash = 'view=all'")
    WebDriverWait(browser, 20).until(lambda b: len(b.find_elements(By.CSS_SELECTOR, ".all thead th")) == 4)
    quiet(browser)


def test_a_picture_opens_large_and_the_keys_move(browser: Any, runs: tuple[Path, Path]) -> None:
    browser.get((runs[0] / "report.html").as_uri() + "#view=two&open=1")
    dialog = browser.find_element(By.ID, "look")
    assert dialog.is_displayed() and len(dialog.find_elements(By.TAG_NAME, "img")) == 2
    active = lambda: browser.switch_to.active_element  # noqa: E731
    width = dialog.find_element(By.TAG_NAME, "img").size["width"]
    active().send_keys("+")
    assert dialog.find_element(By.TAG_NAME, "img").size["width"] > 1.4 * width
    active().send_keys(Keys.ARROW_RIGHT)
    assert "open=2" in browser.current_url
    active().send_keys(Keys.ESCAPE)
    WebDriverWait(browser, 20).until(lambda b: not dialog.is_displayed())
    assert "open" not in browser.current_url
    browser.execute_script("document.querySelector('.look').focus()")
    active().send_keys("1")
    browser.execute_script("document.querySelector('.look').focus()")
    active().send_keys(Keys.ARROW_RIGHT)
    assert active().get_attribute("data-picture") == "1"
    active().send_keys(Keys.ENTER)
    assert dialog.is_displayed() and len(dialog.find_elements(By.TAG_NAME, "img")) == 1
    quiet(browser)


def test_the_table_sorts_worst_first_and_guidance_is_seen_step_by_step(browser: Any, runs: tuple[Path, Path]) -> None:
    browser.get((runs[0] / "report.html").as_uri())
    column = next(i for i, h in enumerate(browser.find_elements(By.CSS_SELECTOR, "thead th")) if h.text == "FID")
    values = lambda: [  # noqa: E731
        float(row.find_elements(By.CSS_SELECTOR, "th, td")[column].text)
        for row in browser.find_elements(By.CSS_SELECTOR, "tbody tr")
    ]
    press = "[...document.querySelectorAll('th button')].find(b => b.textContent === 'FID').click()"
    browser.execute_script(press)
    assert values() == sorted(values(), reverse=True)
    browser.execute_script(press)
    assert values() == sorted(values()) and "table=fid" in browser.current_url
    slider = browser.find_element(By.ID, "step-1")
    slider.send_keys(Keys.HOME)
    pictures = "return [...document.querySelectorAll('#guidance-seen .large img')].map(i => i.src)"
    first = browser.execute_script(pictures)
    slider.send_keys(Keys.END)
    assert len(first) == 5 and browser.execute_script(pictures) != first
    assert len(browser.find_elements(By.CSS_SELECTOR, "#guidance-seen .strip .now")) == 2
    quiet(browser)


def test_everything_that_can_be_used_has_a_name_and_a_phone_need_not_scroll_sideways(
    browser: Any, runs: tuple[Path, Path]
) -> None:
    on_a_phone(browser)
    browser.get((runs[0] / "report.html").as_uri())
    assert width_needed(browser) == 390
    assert nameless(browser) == []
    assert browser.execute_script("return [...document.images].filter(i => !i.hasAttribute('alt')).length") == 0
    identical = "const n = [...document.querySelectorAll('[id]')].map(e => e.id); return n.length - new Set(n).size"
    assert browser.execute_script(identical) == 0
    quiet(browser)


def test_axe_finds_nothing_serious(browser: Any, runs: tuple[Path, Path]) -> None:
    address = (runs[0] / "report.html").as_uri()
    for view in ("", "#view=two&sort=clip_score", "#view=all", "#view=two&open=1"):
        browser.get("about:blank")
        browser.get(address + view)
        assert findings(browser) == [], view
    on_a_phone(browser)
    browser.get(address)
    assert findings(browser) == []
