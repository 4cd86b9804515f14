"""Strings that try to become a header, a mention, a link, markup or code in a message they are only a value of."""

from __future__ import annotations

_BREAKS = ("\r\n", "\n", "\r", "\x00", "\x0b", "\x0c", "\x85", "\u2028", "\u2029", "\x1e", "%0d%0a", "\\r\\n")
_HEADERS = ("Bcc: evil@example.com", "Subject: changed", "Content-Type: text/html\n\n<b>", "From: ceo@example.com")
_MENTIONS = (
    "<@all>", "<@ZhangWei>", "@all", "<@all", "< @all>", "\u200b<@all>", "<\u202e@all>", "<@all>\n<@all>", "＜@all＞",
    "<font color=\"warning\">x</font>", "<a href=\"https://evil.example\">x</a>", "<script>alert(1)</script>", "<!-- x",
)  # fmt: skip
_MARKUP = (
    "[批准](https://evil.example/approve)", "[x]( https://evil.example )", "![x](https://evil.example/a.png)",
    "[x]: https://evil.example", "**已批准**", "`code`", "```\ncode\n```", "# 标题", "> 引用", "~~x~~",
    "*x*", "\\[x](y)", "[x][1]\n\n[1]: https://evil.example", "<https://evil.example>", "]([)](", "**", "[[x]]((y))",
)  # fmt: skip
_CODE = (
    "{{ 7 * 7 }}", "{% for x in range(9) %}x{% endfor %}", "{{ ''.__class__.__mro__ }}", "{{ config }}", "{# x #}",
    "{{ link }}", "{{ cycler.__init__.__globals__ }}", "{{ self }}", "${7*7}", "#{7*7}", "%(x)s", "{0.__class__}",
    "{% raw %}", "{{ lipsum() }}",
)  # fmt: skip
_SMTP = ("\r\n.\r\nMAIL FROM:<evil@example.com>", "\n.\n", ".\r\n", "\r\n..\r\n", "QUIT\r\n", "\r\nRCPT TO:<x@y>\r\n")
_BIDI = ("\u202egpj.exe", "\u2066x\u2069", "\u200fabc", "\u061cabc", "a\u200bb", "\ufeffx", "\u00adx", "\u2060x")
_OTHER = (
    "=?utf-8?b?QmNjOiBldmls?=", "=?utf-8?q?=0D=0ABcc=3A_evil?=", "'; DROP TABLE links; --", "=cmd|' /C calc'!A0",
    "\x1b[31mred", "\x1b]8;;https://evil.example\x07x", "\ud800", "\U000e0041", "𝕏" * 3000, "a" * 100_000, "\t\t\t",
    "🙂👨\u200d👩\u200d👧", "远航铝业", "", " ", "\x7f", "‮", "İ", "ﷺ", "null", "None", "True", "0", "-1", "NaN",
)  # fmt: skip

CORPUS = (
    *(f"远航{space}{header}" for space in _BREAKS for header in _HEADERS),
    *_MENTIONS, *_MARKUP, *_CODE, *_SMTP, *_BIDI, *_OTHER,
)  # fmt: skip
