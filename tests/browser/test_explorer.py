"""The page of explore.py in a real browser: sliders choose the pictures, walks go from end to end, neighbours are shown.

Run with `make browser`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from tests.browser.driven import findings, nameless, on_a_phone, quiet, width_needed


def part(browser: Any, title: str) -> Any:
    (found,) = browser.find_elements(By.CSS_SELECTOR, f'section[data-title="{title}"]')
    return found


def shown(where: Any) -> list[tuple[str, str]]:
    """The pictures of a part with the words below them."""
    figures = where.find_elements(By.TAG_NAME, "figure")
    return [(f.find_element(By.TAG_NAME, "img").get_attribute("src"), f.text) for f in figures]


def strips(where: Any) -> dict[str, list[tuple[str, str]]]:
    return {s.get_attribute("aria-label"): shown(s) for s in where.find_elements(By.CSS_SELECTOR, ".strip")}


def test_sliders_choose_what_guidance_does_at_a_step(browser: Any, explored: Path) -> None:
    browser.get(explored.as_uri())
    seen = part(browser, "Guidance, seen")
    scale, step = seen.find_elements(By.CSS_SELECTOR, "input[type=range]")
    scale.send_keys(Keys.HOME)
    step.send_keys(Keys.HOME)
    assert scale.get_attribute("aria-valuetext") == "1"
    unguided = shown(seen)
    assert len(unguided) == 5 and all(source.startswith("data:image/") for source, _ in unguided)
    assert unguided[0][1].startswith("what there is at t = 1")
    assert unguided[1][0] == unguided[4][0]  # w = 1: guided is what the net says with the prompt
    scale.send_keys(Keys.END)
    guided = shown(seen)
    assert guided[:4] == unguided[:4] and guided[4] != unguided[4]  # all scales begin with the same noise
    step.send_keys(Keys.END)
    last = shown(seen)
    assert last[0][0] != guided[0][0] and last[1][0] != guided[1][0]
    assert scale.accessible_name.startswith("guidance scale w") and step.accessible_name.startswith("step shown")
    kept = browser.current_url
    browser.get("about:blank")
    browser.get(kept)
    assert shown(part(browser, "Guidance, seen")) == last
    quiet(browser)


def test_a_walk_goes_from_end_to_end_and_neighbours_have_their_captions(browser: Any, explored: Path) -> None:
    browser.get(explored.as_uri())
    titles = [h.text for h in browser.find_elements(By.TAG_NAME, "h2")]
    for space in (t.partition(": ")[2] for t in titles if t.startswith("Neighbours: ")):
        rows = strips(part(browser, f"Axes without words: {space}"))
        assert len(rows) == 4
        for walk in rows.values():
            places = [float(words.removesuffix(" sd")) for _, words in walk]
            assert len(places) == 7 and places == sorted(places) and places[0] == -places[-1] and places[3] == 0
            assert walk[0][0] != walk[-1][0]
        for asked, *found in strips(part(browser, f"Neighbours: {space}")).values():
            assert asked[1].startswith("asked: ") and len(found) == 6
            assert len({source for source, _ in found} - {asked[0]}) == 6 and all(words for _, words in found)
    named = strips(part(browser, next(t for t in titles if t.startswith("Axes with words: "))))
    assert len(named) == 3 and all(len(walk) == 7 for walk in named.values())
    between = strips(part(browser, "In between"))
    assert set(between) == {"two pictures", "two prompts"}
    (table,) = part(browser, "What can be read from each space").find_elements(By.TAG_NAME, "table")
    spaces = [h.text for h in table.find_elements(By.CSS_SELECTOR, "thead th")][1:]
    assert [f"Neighbours: {space}" in titles for space in spaces] == [True] * len(spaces) and len(spaces) == 3
    quiet(browser)


def test_a_link_goes_to_its_part_and_the_report_is_one_click_away(browser: Any, explored: Path) -> None:
    browser.get(explored.as_uri())
    groups = browser.find_elements(By.CSS_SELECTOR, "nav .group")
    assert [g.get_attribute("data-group") for g in groups] == ["Axes with words", "Axes without words", "Neighbours"]
    assert [len(g.find_elements(By.TAG_NAME, "a")) for g in groups] == [3, 3, 3]
    assert groups[2].find_element(By.TAG_NAME, "a").accessible_name == "Neighbours: the autoencoder's latents"
    browser.find_element(By.LINK_TEXT, "In between").click()
    assert browser.current_url.endswith("#at=in-between")
    top = "return document.querySelector('section[data-title=\"In between\"]').getBoundingClientRect().top"
    bottom = "return innerHeight + scrollY >= document.documentElement.scrollHeight - 1"
    WebDriverWait(browser, 20).until(lambda b: abs(b.execute_script(top)) < 20 or b.execute_script(bottom))
    browser.find_element(By.LINK_TEXT, "report of the run").click()
    assert browser.current_url.endswith("report.html")
    browser.find_element(By.LINK_TEXT, "look inside the model").click()
    assert browser.current_url.endswith("explore.html")
    quiet(browser)


def test_axe_finds_nothing_serious_and_a_phone_need_not_scroll_sideways(browser: Any, explored: Path) -> None:
    browser.get(explored.as_uri())
    assert findings(browser) == []
    on_a_phone(browser)
    browser.get(explored.as_uri())
    assert width_needed(browser) == 390 and nameless(browser) == [] and findings(browser) == []
