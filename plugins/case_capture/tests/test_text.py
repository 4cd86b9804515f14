"""How texts become terms, and what personal data is taken out first."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plugins.case_capture.privacy import mask
from plugins.case_capture.text import (
    Term,
    count_terms,
    decode,
    is_counted,
    language_of,
    normalise,
    query_terms,
    stem,
    tokenise,
)

TEXTS = st.text(alphabet="阳极氧化膜划痕铝型材6063-T5 t５ＡaZé.。 ，\"/'的scratch\n\U00020000")


def words(terms: list[Term]) -> list[str]:
    return [decode(term.code) for term in terms]


def test_chinese_is_cut_into_overlapping_pairs():
    assert words(query_terms("阳极氧化")) == ["阳极", "极氧", "氧化"]


def test_a_single_chinese_character_counts_only_where_it_stands_alone():
    assert words(query_terms("铬 6063")) == ["铬", "6063"]
    assert "铬" in {decode(code) for code in count_terms("含铬废水")}
    assert [code for code in count_terms("铬酸") if is_counted(code)] == [query_terms("铬酸")[0].code]


def test_an_alloy_number_is_found_whole_and_in_its_parts():
    assert words(query_terms("6063-T5")) == ["6063-t5", "6063", "t5"]
    assert words(query_terms("batch B20240501-03/2")) == ["batch", "b20240501-03/2", "b20240501", "03"]


def test_a_decimal_number_is_one_word():
    assert words(query_terms("0.15 mm, 2.5mm.")) == ["0.15", "mm", "2.5mm"]


def test_full_width_and_half_width_are_the_same():
    assert count_terms("６０６３－Ｔ５") == count_terms("6063-t5") == count_terms("6063‑T5")


def test_words_of_both_scripts_in_one_breath_are_kept_apart():
    assert words(query_terms("6063铝合金OK")) == ["6063", "铝合", "合金", "ok"]


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("scratches", "scratch"),
        ("scratched", "scratch"),
        ("batteries", "battery"),
        ("profiles", "profil"),
        ("profile", "profil"),
        ("bending", "bend"),
        ("shipped", "ship"),
        ("glass", "glass"),
        ("is", "is"),
        ("ring", "ring"),
        ("t5s", "t5s"),
        ("process", "process"),
    ],
)
def test_common_english_endings_fall_away(word, expected):
    assert stem(word) == expected


@settings(deadline=None)
@given(TEXTS)
def test_every_term_is_ascii_that_no_engine_changes(text):
    for term in tokenise(text):
        assert term.code.isascii()
        assert term.code.isalnum()
        assert term.code == term.code.lower()
        assert len(term.code) < 400


@settings(deadline=None)
@given(TEXTS)
def test_every_term_lies_inside_the_text_it_came_from(text):
    for term in tokenise(text):
        assert 0 <= term.start < term.end <= len(text)


@settings(deadline=None)
@given(TEXTS)
def test_normalising_twice_changes_nothing(text):
    assert normalise(normalise(text)) == normalise(text)


@settings(deadline=None)
@given(TEXTS)
def test_a_normalised_text_has_the_same_terms(text):
    assert count_terms(normalise(text)) == count_terms(text)


@settings(deadline=None)
@given(TEXTS)
def test_a_text_holds_every_term_that_looks_for_it(text):
    assert {term.code for term in query_terms(text)} <= set(count_terms(text))


def test_the_language_is_that_of_the_letters():
    assert language_of("型材表面有划痕 6063-T5") == "zh"
    assert language_of("scratches on the surface") == "en"
    assert language_of("123 !") == "en"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Mail li.na@example.com now", "Mail [email] now"),
        ("联系13812345678或010-62345678", "联系[phone]或[phone]"),
        ("电话:+86 138 1234 5678。", "电话:[phone]。"),
        ("call +44 20 7946 0958 please", "call [phone] please"),
        ("身份证11010519491231002X", "身份证[number]"),
        ("王先生说有划痕，这位先生也是", "[person]先生说有划痕，这位先生也是"),
        ("Mr. John Smith complained", "[person] complained"),
    ],
)
def test_personal_data_is_masked(text, expected):
    assert mask(text) == expected


def test_the_names_a_record_tells_are_masked_wherever_they_stand():
    assert mask("李娜 asked; Bob and bobbin", ["李娜", "Bob"]) == "[person] asked; [person] and bobbin"


@pytest.mark.parametrize(
    "text",
    [
        "6063-T5",
        "B20240501-03",
        "0.15 mm",
        "炉号20240501",
        "尺寸1200*600",
        "2024-05-01",
        "No. 4711-0815",
        "1,380,000.00",
    ],
)
def test_numbers_of_the_trade_are_no_personal_data(text):
    assert mask(text) == text


def test_what_stands_for_masked_data_is_not_searched_for():
    assert words(query_terms("write to [email] or [phone]")) == ["writ"]
