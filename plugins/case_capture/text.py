"""Turns Chinese and English text into terms that SQLite's FTS5 and PostgreSQL both keep as they are.

Chinese is cut into overlapping pairs of characters (bigrams), so no dictionary is needed and none can be out
of date; words, alloy numbers and batch codes stay whole and are also split at their joints. Every term is
encoded in lower-case ASCII letters and digits behind one letter that names its sort, because neither engine
touches such a word: `z` a bigram, `y` a single character, `w` a word, `x` a word with other characters in it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

MAX_WORD = 40
"""Longer words are cut: they are keys or addresses, and no engine's limit on terms must ever be met."""

_STOP_WORDS_TEXT = """
a an and are as at be been but by did do does for from had has have i if in is it its me my of on or our so
that the their them then there this to was we were with you your am im ive
"""
STOP_WORDS = frozenset(_STOP_WORDS_TEXT.split())
"""Words that join others. Question words stay: in short English texts they tell apart what is asked."""
MASKS = frozenset({"email", "phone", "person", "number"})
"""The words inside square brackets that stand where personal data was; they say nothing about a case."""

_JOINTS = "-./_#+&'"
_DASHES = dict.fromkeys((0x2010, 0x2011, 0x2012, 0x2013, 0x2212), "-")
_PLAIN = re.compile(r"[a-z0-9]+\Z")
_VOWEL = re.compile(r"[aeiouy]")


@dataclass(frozen=True, slots=True)
class Term:
    """One term and the characters of the original text it came from; `covered` when a bigram holds it too."""

    code: str
    start: int
    end: int
    covered: bool = False


def normalise(text: str) -> str:
    """Return the text as it is compared: full width as half width, compatibility forms and case folded."""
    return "".join(char for char, _, _ in _characters(text))


def tokenise(text: str) -> list[Term]:
    """Cut a text into its terms, in the order they stand there.

    A run of Chinese gives its bigrams and its single characters; the latter let a one-character query find
    longer words. `query_terms` leaves out those that a bigram covers.
    """
    terms: list[Term] = []
    for kind, run in _runs(text):
        terms.extend(_chinese(run) if kind == "cjk" else _word(run, text))
    return terms


def count_terms(text: str) -> dict[str, int]:
    """Return how often each term of a stored text occurs there."""
    counts: dict[str, int] = {}
    for term in tokenise(text):
        counts[term.code] = counts.get(term.code, 0) + 1
    return counts


def query_terms(text: str) -> list[Term]:
    """Return the terms to look for: bigrams and words, and a single character only where it stands alone."""
    return [term for term in tokenise(text) if not term.covered]


def is_counted(code: str) -> bool:
    """Whether a term counts for the length of a text: single characters repeat what the bigrams say."""
    return code[0] != "y"


def decode(code: str) -> str:
    """Return a term as a person would write it."""
    kind, rest = code[0], code[1:]
    if kind in "zy":
        return "".join(chr(int(part, 16)) for part in rest.split("h"))
    return bytes.fromhex(rest).decode() if kind == "x" else rest


def encode_word(word: str) -> str:
    """Return the term of a whole word that is already normalised."""
    return "w" + word if _PLAIN.match(word) else "x" + word.encode().hex()


def language_of(text: str) -> str:
    """Return `zh` when a tenth or more of the letters are Chinese, else `en`."""
    letters = [char for char in text if char.isalpha()]
    chinese = sum(1 for char in letters if is_cjk(char))
    return "zh" if letters and chinese * 10 >= len(letters) else "en"


def is_cjk(char: str) -> bool:
    """Whether a character is written without spaces between words: Han, kana, Hangul syllables."""
    point = ord(char)
    return (
        0x4E00 <= point <= 0x9FFF
        or 0x3400 <= point <= 0x4DBF
        or 0x20000 <= point <= 0x323AF
        or 0x3040 <= point <= 0x30FF
        or 0xAC00 <= point <= 0xD7AF
        or 0xF900 <= point <= 0xFAFF
        or point == 0x3007
    )


def _characters(text: str) -> Iterator[tuple[str, int, int]]:
    """Yield normalised characters with the place of the original ones; highlights fit the text as shown."""
    start = 0
    while start < len(text):
        end = start + 1
        while end < len(text) and unicodedata.combining(text[end]):
            end += 1
        for char in _fold(text[start:end]):
            yield char, start, end
        start = end


@lru_cache(maxsize=20_000)
def _fold(cluster: str) -> str:
    # Folding can undo the normal form and the normal form can undo the folding, hence twice.
    once = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", cluster).casefold())
    return unicodedata.normalize("NFKC", once.casefold()).translate(_DASHES)


_Run = list[tuple[str, int, int]]


def _runs(text: str) -> Iterator[tuple[str, _Run]]:
    run: _Run = []
    kind = ""
    for item in _characters(text):
        char = item[0]
        now = "cjk" if is_cjk(char) else "word" if char.isalnum() else ""
        if not now and kind == "word" and (char in _JOINTS or unicodedata.combining(char)):
            now = "word"
        if now != kind and run:
            yield kind, run
            run = []
        kind = now
        if now:
            run.append(item)
    if run:
        yield kind, run


def _chinese(run: _Run) -> Iterator[Term]:
    for index, (char, start, end) in enumerate(run):
        yield Term(f"y{ord(char):x}", start, end, covered=len(run) > 1)
        if index + 1 < len(run):
            after, _, after_end = run[index + 1]
            yield Term(f"z{ord(char):x}h{ord(after):x}", start, after_end)


def _word(run: _Run, text: str) -> Iterator[Term]:
    while run and not run[-1][0].isalnum():
        run = run[:-1]
    word = "".join(char for char, _, _ in run)
    start, end = run[0][1], run[-1][2]
    if word in MASKS and text[start - 1 : start] == "[" and text[end : end + 1] == "]":
        return
    parts = list(_parts(run))
    if len(parts) == 1:
        if word not in STOP_WORDS:
            yield Term(encode_word(stem(word[:MAX_WORD])), start, end)
        return
    yield Term(encode_word(word[:MAX_WORD]), start, end)
    for part in parts:
        piece = "".join(char for char, _, _ in part)
        if piece not in STOP_WORDS and len(piece) > 1:
            yield Term(encode_word(stem(piece[:MAX_WORD])), part[0][1], part[-1][2])


def _parts(run: _Run) -> Iterator[_Run]:
    part: _Run = []
    for index, item in enumerate(run):
        if item[0] in _JOINTS and not _is_decimal_point(run, index):
            if part:
                yield part
            part = []
        else:
            part.append(item)
    if part:
        yield part


def _is_decimal_point(run: _Run, index: int) -> bool:
    around = run[index - 1 : index] + run[index + 1 : index + 2]
    return run[index][0] == "." and len(around) == 2 and all(char.isdigit() for char, _, _ in around)


def stem(word: str) -> str:
    """Take the commonest English endings off a word: plural s, -ing and -ed; not where there is a digit."""
    if len(word) < 4 or not word.isascii() or not word.isalpha():
        return word
    if word.endswith("ies") and len(word) > 4:
        word = word[:-3] + "y"
    elif word.endswith(("sses", "shes", "ches", "xes", "zes")):
        word = word[:-2]
    elif word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-1]
    for ending in ("ing", "ed"):
        root = word.removesuffix(ending)
        if root != word and len(root) >= 3 and _VOWEL.search(root):
            word = root[:-1] if len(root) > 3 and root[-1] == root[-2] and root[-1] not in "lsz" else root
            break
    return word[:-1] if len(word) > 4 and word.endswith("e") else word
