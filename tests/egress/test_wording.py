"""Values from outside inside a message: one line, nothing invisible, no markup, no mention; and texts cut to size."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.egress.wording import LONGEST_VALUE, cut, plain, without_markup, without_mentions
from tests.egress.injections import CORPUS

ANY = st.text(st.characters())  # surrogates and control characters included


@given(ANY)
def test_a_value_is_one_line_without_what_cannot_be_seen(value: str) -> None:
    told = plain(value)
    assert len(told.splitlines()) <= 1 and len(told) <= LONGEST_VALUE
    assert not {unicodedata.category(char) for char in told if char not in "\u200c\u200d"} & {"Cc", "Cf", "Cs"}
    assert plain(told) == told


@given(st.text("远航abc 0，。-_/.:"))
def test_an_ordinary_value_stays_as_it_is(value: str) -> None:
    assert plain(value) == without_mentions(value) == without_markup(value) == value


@given(ANY)
def test_a_value_in_markdown_holds_no_sign_of_markup(value: str) -> None:
    assert not set(without_markup(value)) & set("<>[]*`#\\~")
    assert "<" not in without_mentions(value)


def test_the_corpus_is_large_enough() -> None:
    assert len(set(CORPUS)) >= 100


@given(st.text(st.sampled_from("a远🙂\n")), st.integers(16, 60), st.sampled_from(["", "KEEP-THIS"]))
def test_what_is_cut_fits_and_keeps_what_it_must(text: str, longest: int, keep: str) -> None:
    told = cut(f"{text}{keep}{text}", longest, keep)
    assert len(told.encode()) <= longest and keep in told
    if len(f"{text}{keep}{text}".encode()) <= longest:
        assert told == f"{text}{keep}{text}"
    else:
        assert "…" in told


@pytest.mark.parametrize("at", range(30))
def test_a_link_is_never_cut_through(at: int) -> None:
    told = cut("x" * at + "KEEP-THIS" + "y" * 40, 30, "KEEP-THIS")
    assert told.count("KEEP") == 1 and "KEEP-THIS" in told
