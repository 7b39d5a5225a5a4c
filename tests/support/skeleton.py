"""A parser of HTML pages that separates the elements from the text."""

from html.parser import HTMLParser


class Skeleton(HTMLParser):
    """A page's elements with the names of their attributes, and its text."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self.elements: list[object] = []
        self.text = ""
        self.feed(data.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, [name for name, _ in attrs]))

    def handle_endtag(self, tag: str) -> None:
        self.elements.append(tag)

    def handle_comment(self, data: str) -> None:
        self.elements.append(f"comment {len(data)}")

    def handle_data(self, data: str) -> None:
        self.text += data
