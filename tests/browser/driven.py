"""A real browser, driven: what it said and asked for, and what axe finds on its page."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

QUIET = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --window-size=1200,1600"
)
BAD = ("serious", "critical")
PHONE = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}


def quiet(browser: Any) -> None:
    """Nothing was said to the console, and nothing was asked of the network."""
    assert browser.get_log("browser") == []
    events = [json.loads(e["message"])["message"] for e in browser.get_log("performance")]
    asked = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
    assert {u.split(":")[0] for u in asked} <= {"file", "data", "chrome"}  # chrome: the empty page that it opens with


def findings(browser: Any) -> list[str]:
    """What axe calls serious or critical on the page as it stands: its rule, and where."""
    browser.execute_script((files("axe_core_python") / "axe.min.js").read_text("utf-8"))
    found = browser.execute_async_script("axe.run().then(arguments[0])")["violations"]
    bad = [(v["id"], node) for v in found if v["impact"] in BAD for node in v["nodes"]]
    return [f"{rule} {node['html'][:200]} {node['failureSummary']}" for rule, node in bad]


def on_a_phone(browser: Any) -> None:
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", PHONE)


def width_needed(browser: Any) -> int:
    return int(browser.execute_script("return document.documentElement.scrollWidth"))


def nameless(browser: Any) -> list[str]:
    """What can be used on the page and has no name."""
    found: list[str] = browser.execute_script(
        """return [...document.querySelectorAll('button, input, select, a, summary, [tabindex], [role=button]')]
        .filter(e => !(e.getAttribute('aria-label') || e.textContent.trim() || e.labels?.length))
        .map(e => e.outerHTML)"""
    )
    return found
