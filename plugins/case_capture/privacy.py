"""Takes personal data out of texts before they become part of a case; pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

_EMAIL = re.compile(r"[A-Za-z0-9._%+\-]{1,64}@(?:[A-Za-z0-9\-]{1,63}\.){1,8}[A-Za-z]{2,24}")
_IDENTITY = re.compile(r"(?<![0-9A-Za-z])\d{17}[0-9Xx](?![0-9A-Za-z])")
# A Chinese mobile number, a land line with its area code, or an international number with its plus sign.
# A batch code such as B20240501-03 or an alloy such as 6063-T5 is none of these.
_PHONE = re.compile(
    r"(?<![0-9A-Za-z.\-])(?:"
    r"(?:\+?86[\- ]?)?1[3-9]\d[\- ]?\d{4}[\- ]?\d{4}"
    r"|\(?0\d{2,3}\)?[\- ]\d{7,8}(?:-\d{1,6})?"
    r"|\+\d{1,3}(?:[\- ]?\(?\d{1,4}\)?){2,5}"
    r")(?![0-9A-Za-z])"
)
_TITLED_ZH = re.compile(r"[\u4e00-\u9fff](?=先生|女士|小姐)")
_TITLED_EN = re.compile(r"\b(Mr|Mrs|Ms|Dr)\.? +[A-Z][A-Za-z'\-]+(?: +[A-Z][A-Za-z'\-]+)?")
_NOT_NAMES_ZH = frozenset("位名个的是和与该此")


def mask(text: str, names: Iterable[str | None] = ()) -> str:
    """Return the text with e-mail addresses, telephone and identity numbers and people's names masked.

    `names` are those the record itself tells; beside them only names with a form of address are recognised.
    """
    text = _EMAIL.sub("[email]", text)
    text = _IDENTITY.sub("[number]", text)
    text = _PHONE.sub("[phone]", text)
    for name in sorted({name.strip() for name in names if name and len(name.strip()) > 1}, key=len, reverse=True):
        bounded = rf"(?<!\w){re.escape(name)}(?!\w)" if name.isascii() else re.escape(name)
        text = re.sub(bounded, "[person]", text, flags=re.IGNORECASE)
    text = _TITLED_EN.sub("[person]", text)
    return _TITLED_ZH.sub(lambda found: found[0] if found[0] in _NOT_NAMES_ZH else "[person]", text)
