"""HTML and SVG as trees: whatever text goes in comes out as text, so that no name is markup."""

from __future__ import annotations

from xml.etree.ElementTree import Element, tostring

from agentaflow_advisor.render import printable

Child = Element | str
RAW = frozenset({"script", "style"})
"""Elements whose text HTML does not unescape: only our own constant may be in one."""


def tag(name: str, /, *children: Child, **attributes: str | float) -> Element:
    """`tag("text", "40 %", x=3, text_anchor="end")`; a trailing _ is dropped, others are dashes."""
    made = Element(
        name,
        {key.rstrip("_").replace("_", "-"): _text(value) for key, value in attributes.items()},
    )
    for child in children:
        _append(made, child)
    return made


def styled(css: str) -> Element:
    """A style element. Refuses what would end it."""
    if "<" in css:
        raise ValueError("a style sheet holds no markup")
    made = Element("style")
    made.text = css
    return made


def document(root: Element) -> str:
    """The whole page as text."""
    return "<!doctype html>\n" + tostring(root, encoding="unicode", method="html") + "\n"


def _append(parent: Element, child: Child) -> None:
    if isinstance(child, Element):
        parent.append(child)
        return
    if parent.tag in RAW:
        raise ValueError(f"no text goes into <{parent.tag}>")
    text = printable(child)
    if len(parent):
        parent[-1].tail = (parent[-1].tail or "") + text
    else:
        parent.text = (parent.text or "") + text


def _text(value: str | float) -> str:
    return printable(value) if isinstance(value, str) else f"{value:.6g}"
