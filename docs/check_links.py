"""Follow every link, picture, script and style of a built site, as far as it stays inside.

    python docs/check_links.py build/docs

What leads nowhere is printed, as is what a page would fetch from outside; then the exit code is 1.
"""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    """The places that can be linked to, the links, and what is fetched, of one page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.anchors |= {found[name] for name in ("id", "name") if name in found}
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        self.fetched += [found["src"]] if "src" in found else []
        if (
            tag == "link"
            and "href" in found
            and found.get("rel") not in ("canonical", "index", "search", "next", "prev")
        ):
            self.fetched.append(found["href"])


def faults(site: Path) -> list[str]:
    pages = {path: Page(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}
    found = []
    for path, page in pages.items():
        place = path.relative_to(site)
        found += [f"{place} fetches {url} from outside" for url in page.fetched if is_outside(url)]
        for url in (*page.links, *page.fetched):
            if is_outside(url) or url.startswith(("mailto:", "data:", "javascript:")):
                continue
            parts = urlsplit(url)
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            anchor = unquote(parts.fragment)
            if not target.is_file():
                found.append(f"{place} leads to {url}, which is not there")
            elif anchor and target in pages and anchor not in pages[target].anchors:
                found.append(f"{place} leads to {url}: there is no such place on that page")
    return found


def is_outside(url: str) -> bool:
    return bool(urlsplit(url).netloc)


def main(site: Path) -> int:
    found = faults(site.resolve())
    print("\n".join(found) or f"{len(list(site.rglob('*.html')))} pages: all that they lead to is there")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
