"""Makes values from outside harmless inside a message, and cuts texts to what a channel takes."""

from __future__ import annotations

import unicodedata

LONGEST_VALUE = 2000
"""Characters of one value in a message; what is longer is cut, since the record itself is the place to read it."""

_JOINERS = "\u200c\u200d"  # hold scripts and emoji together; the only invisible characters that stay
_SPACES = frozenset("\t\n\r\x0b\x0c\x1c\x1d\x1e\x1f\x85\u2028\u2029")
_MARKUP = str.maketrans(
    {"<": "＜", ">": "＞", "[": "［", "]": "］", "*": "＊", "`": "｀", "#": "＃", "\\": "＼", "~": "～"}
)


def plain(value: str) -> str:
    """Return a value as one line without control, bidirectional and invisible characters.

    A value cannot begin a line of its own, so it cannot pass for a line of the message or for a header.
    """
    if not value.isprintable():
        kept = []
        for char in value[: 4 * LONGEST_VALUE]:
            if char in _SPACES:
                kept.append(" ")
            elif unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Co", "Cn") or char in _JOINERS:
                kept.append(char)
        value = "".join(kept)
    return value if len(value) <= LONGEST_VALUE else value[: LONGEST_VALUE - 1] + "…"


def without_mentions(value: str) -> str:
    """Return a value for 企业微信 text, in which `<@…>` would call people of the group."""
    return plain(value).replace("<", "＜")


def without_markup(value: str) -> str:
    """Return a value for 企业微信 markdown, which knows no escapes: signs of markup become their full-width forms."""
    return plain(value).translate(_MARKUP)


def cut(text: str, longest: int, keep: str = "") -> str:
    """Return a text of at most `longest` bytes of UTF-8; what is cut off ends with `…`, and `keep` is never lost."""
    raw = text.encode("utf-8")
    if len(raw) <= longest:
        return text
    head = raw[: longest - 3].decode("utf-8", "ignore")
    if not keep or keep in head:
        return head + "…"
    tail = f"…\n{keep}"
    head = raw[: max(longest - len(tail.encode("utf-8")), 0)].decode("utf-8", "ignore")
    start = text.find(keep)
    return head[:start] + tail if 0 <= start < len(head) else head + tail
