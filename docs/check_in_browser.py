"""Open every page of a built site in headless Chromium, as wide as a desktop and as a phone, and look for faults.

    python docs/check_in_browser.py build/docs --pictures out/pages

A fault is a page wider than its window, an image that does not show, a failed request, a request to anywhere but the
folder, or an error in a script. ``--pictures`` keeps what was seen, for a person to look at.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

WIDTHS = {"desktop": (1280, 900), "phone": (390, 844)}

WIDER_THAN_WINDOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
UNSEEN_IMAGES = "[...document.images].filter(i => !(i.complete && i.naturalWidth)).map(i => i.getAttribute('src'))"
LOAD_IMAGES = "Promise.all([...document.images].map(i => { i.loading = 'eager'; return i.decode().catch(() => 0); }))"


def look(page: Page, path: Path, site: Path) -> list[str]:
    """Return the faults of one page at the window's width."""
    found: list[str] = []

    def note_request(request: object) -> None:
        url = request.url  # type: ignore[attr-defined]
        if not url.startswith((site.as_uri(), "data:", "blob:")):
            found.append(f"asks for {url}")

    def note_failure(request: object) -> None:
        found.append(f"does not get {request.url}")  # type: ignore[attr-defined]

    def note_error(error: object) -> None:
        found.append(f"script: {error}")

    watched = {"request": note_request, "requestfailed": note_failure, "pageerror": note_error}
    for event, note in watched.items():
        page.on(event, note)  # type: ignore[call-overload]
    page.goto(path.as_uri())
    page.evaluate(LOAD_IMAGES)
    for event, note in watched.items():
        page.remove_listener(event, note)
    if (over := page.evaluate(WIDER_THAN_WINDOW)) > 0:
        found.append(f"is {over} pixels wider than the window")
    return found + [f"does not show {source}" for source in page.evaluate(UNSEEN_IMAGES)]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Look at every page of a built site in Chromium.")
    parser.add_argument("site", type=Path)
    parser.add_argument("--pictures", type=Path, help="folder for a picture of each page at each width")
    parser.add_argument("--browser", default=shutil.which("chromium") or shutil.which("google-chrome"))
    chosen = parser.parse_args(arguments)
    if chosen.browser is None:
        parser.error("no Chromium on the PATH: install it, or give --browser")
    site = chosen.site.resolve()
    pages = [path for path in sorted(site.rglob("*.html")) if "_modules" not in path.parts]
    faults = 0
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chosen.browser, args=["--no-sandbox"])
        for name, (width, height) in WIDTHS.items():
            page = browser.new_page(viewport={"width": width, "height": height})
            for path in pages:
                place = path.relative_to(site)
                for fault in look(page, path, site):
                    faults += 1
                    print(f"{place} ({name}) {fault}")
                if chosen.pictures:
                    chosen.pictures.mkdir(parents=True, exist_ok=True)
                    target = chosen.pictures / f"{name}-{'-'.join(place.with_suffix('').parts)}.png"
                    page.screenshot(path=target, full_page=True)
        browser.close()
    print(f"{len(pages)} pages at {len(WIDTHS)} widths: {faults} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
