"""Files that no server can take: each is refused with a letter that says what to do, and nothing else happens."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from core.host.configuration import Surroundings, resolve
from core.host.toml_document import DEEPEST, MAX_FILE, parse, read, read_text
from core.model.errors import ConfigurationRefused

TITLE = '[units.a]\ntitle = "新能源"\n'


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"\xef\xbb\xbf" + TITLE.encode(), "byte order mark .BOM.*Save it as"),
        (TITLE.encode("utf-16"), "it is UTF-16. Save it with the encoding UTF-8"),
        (TITLE.encode("gb18030"), r"line 2 is not \(is the file GBK\?\). Save it with the encoding UTF-8"),
        (b"#" * (MAX_FILE + 1), "larger than"),
    ],
)
def test_a_file_of_another_encoding_or_size_says_how_to_save_it(tmp_path: Path, raw: bytes, said: str) -> None:
    path = tmp_path / "plugins.toml"
    path.write_bytes(raw)
    with pytest.raises(ConfigurationRefused, match=said):
        read_text(path)


def test_a_file_without_an_end_is_not_read_to_it() -> None:
    with pytest.raises(ConfigurationRefused, match="larger than"):
        read_text(Path("/dev/zero"))


def test_a_pipe_that_nobody_writes_to_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "plugins.toml")
    with pytest.raises(ConfigurationRefused, match="is a pipe"):
        read_text(tmp_path / "plugins.toml")


@pytest.mark.parametrize(
    "text",
    [
        "[" + ".".join(["a"] * 3000) + "]",
        "a = " + "[" * 3000 + "]" * 3000,
        "a = " + "[" * DEEPEST + "{ b = [] }" + "]" * DEEPEST,
    ],
)
def test_what_is_nested_too_deep_is_refused(text: str) -> None:
    for reading in (parse, read):
        with pytest.raises(ConfigurationRefused, match=r"plugins\.toml: more than 64 tables and lists"):
            reading(text, "plugins.toml")


@pytest.mark.parametrize(
    ("text", "errors"),
    [
        (
            "[dispatch]\nhook_time_limit_s = nan\nmax_attempts = 0\n[plugins.host_scorer.config]\nhot_score = inf\n",
            {
                ("plugins.toml, dispatch.hook_time_limit_s", "must be a finite number"),
                ("plugins.toml, plugins.host_scorer.config.hot_score", "must be a finite number"),
                (
                    "plugins.toml, dispatch.max_attempts",
                    "Must be greater than or equal to 1 and less than or equal to 100.",
                ),
            },
        ),
        (
            '[units.a]\ntitle = "a\\u0000b"\nmatch = { city = ["x", "y\\u0000"] }\n',
            {
                ("plugins.toml, units.a.title", "holds U+0000, which is no character of a text"),
                ("plugins.toml, units.a.match.city.1", "holds U+0000, which is no character of a text"),
            },
        ),
    ],
)
def test_values_that_nothing_can_hold_are_told_with_the_other_faults(
    around: Surroundings, text: str, errors: set[tuple[str, str]]
) -> None:
    with pytest.raises(ConfigurationRefused) as caught:
        resolve(text, around)
    assert {(error["path"], error["message"]) for error in caught.value.errors} == errors
