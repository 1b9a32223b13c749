"""How tests read a page, and change what it is built of."""

import json
from html.parser import HTMLParser

from report.page import build


class Page(HTMLParser):
    """Tags, ids, links and text of a page."""

    VOID = ("meta", "br", "img", "link", "input", "path", "use")

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.open, self.text = [], [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def page_of(folder):
    path, _ = build(folder)
    return Page(path.read_text(encoding="utf-8"))


def change_of(folder, name, **changes):
    """Changes a record as its writer would have: of version 1, which has no checksum to be wrong."""
    file = folder / "records" / name
    content = json.loads(file.read_text()) | {"schema_version": 1}
    content.pop("checksum")
    file.write_text(json.dumps(content | changes))
