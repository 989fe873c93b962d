"""A page in a real browser: what it takes, and what is on view."""

from __future__ import annotations

import shutil

import pytest

BROWSER, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
NEEDED = pytest.mark.skipif(not (BROWSER and DRIVER), reason="needs chromium and chromedriver on the PATH")
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-component-update",
    "--disable-background-networking", "--disable-sync", "--window-size=1280,900",
)  # fmt: skip


def all_of(page, selector):
    from selenium.webdriver.common.by import By

    return page.find_elements(By.CSS_SELECTOR, selector)


def one_of(page, selector):
    (element,) = all_of(page, selector)
    return element


def of_visible(page, selector, what):
    """A JavaScript expression of every element `e` that is on view."""
    script = "return [...document.querySelectorAll(arguments[0])].filter(e => e.getClientRects().length).map(e => %s)"
    return page.execute_script(script % what, selector)
