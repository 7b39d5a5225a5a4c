"""HTML as a tree of elements, so that no text can become markup. Pure."""

import re
import xml.etree.ElementTree as ET
from typing import Final

Node = ET.Element

# Characters that XML and HTML do not allow, and marks that reverse the direction of the text.
_NOT_ALLOWED: Final = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff\u202a-\u202e\u2066-\u2069]"
)


def el(tag: str, *children: "Node | str | None", **attributes: str) -> Node:
    """An element with its children; None is skipped. `class_` sets class; other underscores become dashes."""
    node = ET.Element(tag, {name.rstrip("_").replace("_", "-"): clean(value) for name, value in attributes.items()})
    for child in children:
        if isinstance(child, str):
            if len(node):
                node[-1].tail = (node[-1].tail or "") + clean(child)
            else:
                node.text = (node.text or "") + clean(child)
        elif child is not None:
            node.append(child)
    return node


def document(root: Node) -> bytes:
    """The page with its doctype, as UTF-8."""
    return b"<!doctype html>\n" + ET.tostring(root, encoding="unicode", method="html").encode() + b"\n"


def clean(text: str) -> str:
    """The text, with U+FFFD for each character that a page must not contain."""
    return _NOT_ALLOWED.sub("�", text)
