"""Reads payment terms as people write them, in Chinese and English, into the longest credit they give."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

LONGEST_TEXT = 500
"""Longer terms are left to people; nobody writes them on one line."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What payment terms say: days from delivery, invoice or month's end to the last payment, 0 when none is credit.

    `days` is None when the text leaves any part open; `why` tells what could not be read.
    """

    days: int | None
    why: str = ""


_ZH_DIGITS = {"零": 0, "一": 1, "二": 2, "两": 2, "三": 3, "四": 4, "五": 5, "六": 6, "七": 7, "八": 8, "九": 9}
_EN_NUMBERS = {
    "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10,
    "twelve": 12, "fourteen": 14, "fifteen": 15, "thirty": 30, "forty-five": 45, "sixty": 60, "ninety": 90,
}  # fmt: skip
_NUMBER = r"(\d{1,4}(?!\d)|[一二两三四五六七八九十百零]{1,5}|半|\b(?:" + "|".join(_EN_NUMBERS) + r")\b)"
_UNIT_DAYS = {"天": 1, "日": 1, "周": 7, "星期": 7, "月": 30, "季度": 90, "季": 90, "年": 365}
_EN_UNIT_DAYS = {"day": 1, "week": 7, "month": 30, "year": 365}

_SPAN_ZH = re.compile(_NUMBER + r" ?个? ?(工作日|工作天|日历天|日历日|自然日|自然天|天|日|周|星期|季度|季|月|年)")
_SPAN_EN = re.compile(_NUMBER + r"[ -]?(business|working|calendar)?[ -]?(day|week|month|year)s?\b")
_NET = re.compile(r"\b(?:net|n|eom|dating)[ /-]?(\d{1,3})\b|\b(\d{1,3})[ -]?(?:d\b|net\b|eom\b)")

_GOODS_ZH = "(?:发货|出货|提货|交货|装运|装船|发运|生产|投产|开工|排产|备料)"
_GOODS_EN = (
    r"(?:the )?(?:shipment|shipping|delivery|dispatch|despatch|loading|production|collection|goods leave|pick-?up)"
)
_BEFORE = re.compile(
    rf"{_GOODS_ZH}之?前 ?(?:{_NUMBER} ?个?(?:工作)?[天日周])?"
    rf"|(?:{_NUMBER} (?:business |working )?(?:days?|weeks?) )?(?:before|prior to|ahead of) {_GOODS_EN}"
)
_UPFRONT = re.compile(
    r"预付|预收|定金|订金|首付|款到发货|款到交货|款到生产|先款后货|先付款|带款提货|现款|现结|现金|全款|货到付款|到货付款|见票即付|即期|即付"
    r"|付款发货|付清发货|凭提单|见提单|签约时|签订合同时|合同签订|下单时|下单"
    r"|\bin advance\b|\bprepa(?:id|y|yment)\b|\bpre-payment\b|\badvance\b|\bdeposit\b"
    r"|\bdown ?payment\b|\bup ?front\b"
    r"|\bcash (?:on|with|before|against)\b|\bcod\b|\bcia\b|\bcwo\b|\bcad\b|\bcash\b|\bat sight\b|\bsight\b|\bd/p\b"
    r"|\b(?:due|payable|payment)? ?(?:up)?on (?:receipt|delivery|order|shipment|signing|signature)\b|\bwith order\b"
    r"|\bimmediate(?:ly)?\b|\bpro ?forma\b|\bagainst (?:copy of )?(?:b/l|bill of lading|documents|shipping documents)\b"
)
_SOME_TIME = re.compile(
    r"年底|年末|月底|月末|季末|季度末|验收|完工|竣工|调试|\b(?:acceptance|completion|commissioning|later)\b"
    r"|\b(?:year|month|quarter)[- ]?end\b|\bend of\b"
)
_NEXT_MONTH = re.compile(r"(?:次月|下月|下个月) ?(?:(\d{1,2}) ?[日号]|底|末)?")
_CALENDAR_DATE = re.compile(
    r"\d{1,2}月\d{1,2}[日号]|每月|\d{4} ?[-/年]|\b(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]* \d"
)
_NOT_PAYMENT = re.compile(
    r"交期|交货期|交付周期|供货周期|工期|有效期|有效|lead ?time|valid|增值税|含税|不含税|税率|\bvat\b|\btax\b"
)
_MEANS = re.compile(
    r"电汇|转账|汇款|现汇|银行|承兑汇票|承兑|信用证|支付|付款方式|付款|付清|结清|结算|人民币|对公"
    r"|\bt/?t\b|\bwire(?: transfer)?\b|\bbank\b|\btransfer\b|\bby\b|\bpayment(?: terms?)?\b|\bterms?\b|\bl/?c\b"
    r"|\birrevocable\b|\bletter of credit\b|\busd\b|\bcny\b|\brmb\b|\beur\b|\bin full\b"
)
_REST = re.compile(
    r"余款|余额|余下|其余|剩余|尾款|\bbalance\b|\bremaind(?:er|ing)\b|\bremaining\b|\brest\b|\bthe other\b"
)
_PERCENT = re.compile(r"(\d{1,3}(?:\.\d{1,2})?) ?%")
_DISCOUNT = re.compile(r"\d(?:\.\d)?%? ?/ ?\d{1,2}(?=[ ,]+(?:net|n))|\d(?:\.\d)?% \d{1,2} days?(?=.*\bnet\b)")
_SPLIT = re.compile(r"[,;。\n、+]|(?<!\d)\.(?!\d)|\band\b|\bthen\b|(?<!\bon )\bor\b|和|及|并|再|或")


@lru_cache(maxsize=4096)
def read_terms(text: str) -> Terms:
    """Return the longest credit in payment terms such as "月结60天", "net 60" or "30% deposit, 70% before shipment".

    Months count 30 days and working days 7/5 of a day. Nothing is guessed: terms with a part that gives neither a
    payment in advance (or on delivery) nor a number of days, or with shares that do not add up, have no days.
    """
    plain = _plain(text)
    if not plain or len(plain) > LONGEST_TEXT:
        return Terms(None, "empty" if not plain else "too long")
    has_net = bool(re.search(r"\bnet\b", plain))
    found: list[int] = []
    for clause in _SPLIT.split(_REST.sub(r";\g<0>", _DISCOUNT.sub("", plain))):
        days = _clause(clause.strip())
        if days is None:
            return Terms(None, clause.strip())
        found += days
    if not found:
        return Terms(None, plain)
    if not has_net and not _adds_up(plain):
        return Terms(None, "the shares do not add up to 100 %")
    return Terms(max(found))


def _plain(text: str) -> str:
    folded = unicodedata.normalize("NFKC", text).lower().replace("%", "% ")
    return re.sub(r"\s+", " ", folded).replace(" %", "%").strip()


def _clause(clause: str) -> list[int] | None:
    """Return the days a clause gives, none for one that is not about when, or None when it cannot be read."""
    if _NOT_PAYMENT.search(clause):
        return []
    rest, advances = _BEFORE.subn(" ", clause)
    if _CALENDAR_DATE.search(rest):
        return None
    days = _next_month(rest)
    if not days:
        days = [*_spans(rest), *(int(one or other) for one, other in _NET.findall(rest))]
    if days:
        return days
    paid = advances + len(_UPFRONT.findall(rest))
    # One of several shares says nothing of the others, and no advance makes up for what is paid some time later.
    if paid and len(_PERCENT.findall(rest)) <= paid and not _SOME_TIME.search(rest):
        return [0]
    left = _PERCENT.sub("", _MEANS.sub("", rest)).strip(" -:()/")
    return [] if not left else None


def _spans(clause: str) -> list[int]:
    found = [_days(number, word.startswith("工作"), _zh_unit(word)) for number, word in _SPAN_ZH.findall(clause)]
    for number, sort, unit in _SPAN_EN.findall(clause):
        found.append(_days(number, sort in ("business", "working"), _EN_UNIT_DAYS[unit]))
    return found


def _zh_unit(word: str) -> int:
    return _UNIT_DAYS.get(word, 1)


def _days(number: str, is_working: bool, unit: int) -> int:
    if number == "半":
        return unit // 2
    days = _whole(number) * unit
    return -(-days * 7 // 5) if is_working else days


def _whole(number: str) -> int:
    if number.isdecimal():
        return int(number)
    if number in _EN_NUMBERS:
        return _EN_NUMBERS[number]
    total = digit = 0
    for letter in number:
        if letter in "十百":
            total += (digit or 1) * (10 if letter == "十" else 100)
            digit = 0
        else:
            digit = _ZH_DIGITS[letter]
    return total + digit


def _next_month(clause: str) -> list[int]:
    """Return the longest time to a day of the next month: goods that came on the first of this one wait longest."""
    return [30 + int(match[1] or 30) for match in _NEXT_MONTH.finditer(clause)]


def _adds_up(plain: str) -> bool:
    shares = [float(share) for clause in _SPLIT.split(plain) if not _NOT_PAYMENT.search(clause)
              for share in _PERCENT.findall(clause)]  # fmt: skip
    return not shares or bool(_REST.search(plain)) or abs(sum(shares) - 100) < 0.01
