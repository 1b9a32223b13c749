"""python -m tests.studies.pictures: makes the pictures of README.md and docs from committed records.

It builds the page of each run in a temporary folder, opens it in Chromium and writes docs/page.png, docs/growth.png and
docs/drift.png. Takes about half a minute. A browser of another version draws letters a little differently.
"""

import shutil
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

import results
from report.page import build

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
REFERENCE = Path(results.__file__).parent / "reference"
DOCS = REFERENCE.parent.parent / "docs"
FIRST_SCREEN = {"width": 1280, "height": 800}
PICTURES = {
    "page.png": ("quick-2-cores-epyc", None),
    "growth.png": ("quick-2-cores-epyc", "#figure-growth"),
    "drift.png": ("cifar100-patch4-2-cores", "#figure-tutorial-drift-learning"),
}
"""File -> the run, and the figure of its page, or None for the page's first screen."""


def main() -> None:
    browser = next(filter(None, map(shutil.which, BROWSERS)))
    with tempfile.TemporaryDirectory(prefix="eanet-pictures-") as above, sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox", "--disable-gpu"])
        page = chromium.new_page(viewport=FIRST_SCREEN, color_scheme="light")
        for file, (run, figure) in PICTURES.items():
            folder = Path(above) / run
            if not folder.exists():
                shutil.copytree(REFERENCE / run, folder)
                build(folder)
            page.goto((folder / "report.html").as_uri())
            page.evaluate("document.querySelectorAll('details').forEach(folded => folded.open = true)")
            seen = page.locator(figure) if figure else page
            seen.screenshot(path=DOCS / file, style=".save { display: none } figure { padding: 8px }" if figure else "")
            print(DOCS / file)
        chromium.close()


if __name__ == "__main__":
    main()
