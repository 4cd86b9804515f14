"""Which addresses an outgoing request may reach: public ones, in whatever form they are written, and what IT allows."""

from __future__ import annotations

import ipaddress
import socket
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.egress.addresses import DestinationRefused, is_allowed, resolve


def words(text: str) -> list[str]:
    return text.split()


INSIDE_V4 = words(
    """
0.0.0.0 0.0.0.1 0.255.255.255 10.0.0.0 10.0.0.1 10.1.2.3 10.255.255.255 100.64.0.0 100.64.0.1 100.100.100.200
100.127.255.255 127.0.0.0 127.0.0.1 127.0.1.1 127.1.2.3 127.255.255.255 168.63.129.16 169.254.0.0 169.254.0.1
169.254.169.253 169.254.169.254 169.254.170.2 169.254.255.255 172.16.0.0 172.16.0.1 172.20.10.1 172.31.255.255
192.0.0.0 192.0.0.1 192.0.0.8 192.0.0.9 192.0.0.10 192.0.0.100 192.0.0.170 192.0.0.171 192.0.0.192 192.0.0.255
192.0.2.0 192.0.2.1 192.0.2.255 192.88.99.0 192.88.99.1 192.168.0.0 192.168.0.1 192.168.1.1 192.168.255.255
198.18.0.0 198.18.0.1 198.19.255.255 198.51.100.0 198.51.100.1 198.51.100.255 203.0.113.0 203.0.113.1 203.0.113.255
224.0.0.0 224.0.0.1 224.0.0.251 232.1.2.3 239.255.255.250 239.255.255.255 240.0.0.0 240.0.0.1 250.1.2.3
255.255.255.254 255.255.255.255
"""
)

OUTSIDE_V4 = words(
    """
1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.0 47.100.1.1 93.184.216.34 100.63.255.255 100.128.0.0 101.1.1.1 114.114.114.114
126.255.255.255 128.0.0.1 168.63.129.15 168.63.129.17 169.253.255.255 169.255.0.0 172.15.255.255 172.32.0.0
191.255.255.255 192.0.1.0 192.0.3.1 192.88.98.1 192.88.100.1 192.167.255.255 192.169.0.0 198.17.255.255 198.20.0.0
198.51.99.255 198.51.101.0 203.0.112.255 203.0.114.0 223.5.5.5 223.255.255.255
"""
)

INSIDE_V6 = words(
    """
:: ::1 ::2 ::ffff ::127.0.0.1 ::10.0.0.1 ::8.8.8.8 ::ffff:0:10.0.0.1 ::ffff:0:8.8.8.8 64:ff9b:1::1 64:ff9b:1::8.8.8.8
64:ff9b:1:ffff::10.0.0.1 100::1 100::ffff:ffff:ffff:ffff 100:0:0:1::1 200::1 400::1 1000::1 2001::1 2001:1::1 2001:2::1
2001:3::1 2001:4:112::1 2001:10::1 2001:1f:ffff::1 2001:20::1 2001:2f:ffff::1 2001:db8::1 2001:db8:ffff::1 3fff::1
3fff:fff:ffff::1 4000::1 5f00::1 6000::1 8000::1 a000::1 c000::1 e000::1 f000::1 f800::1 fc00::1 fc00:ffff::1 fd00::1
fd00:ec2::254 fd12:3456:789a:1::1 fdff:ffff::1 fe00::1 fe7f::1 fe80::1 fe80::5efe:a00:1 fe80::1:2:3:4 febf::1 fec0::1
fec0:0:0:ffff::1 feff::1 ff00::1 ff01::1 ff02::1 ff02::fb ff05::2 ff0e::1 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff
"""
)

OUTSIDE_V6 = words(
    """
2001:200::1 2001:4860:4860::8888 2001:db7:ffff::1 2001:db9::1 2400:3200::1 2606:4700:4700::1111 2a00:1450:4001:800::200e
2c0f:fb50:4002::1 2408:8000::1 240e::1 3ffe:ffff::1 2003::1
"""
)

FORMS = {
    "mapped": lambda v4: ipaddress.IPv6Address(f"::ffff:{v4}"),
    "6to4": lambda v4: ipaddress.IPv6Address((0x2002 << 112) | (int(v4) << 80) | 1),
    "teredo": lambda v4: ipaddress.IPv6Address((0x20010000 << 96) | (0x41E10000 << 64) | (int(v4) ^ 0xFFFFFFFF)),
    "NAT64": lambda v4: ipaddress.IPv6Address((0x0064FF9B << 96) | int(v4)),
    "ISATAP": lambda v4: ipaddress.IPv6Address((0x2606470000000000 << 64) | (0x5EFE << 32) | int(v4)),
    "ISATAP of a unique address": lambda v4: ipaddress.IPv6Address(
        (0x2606470000000000 << 64) | (0x02005EFE << 32) | int(v4)
    ),
}


@pytest.mark.parametrize("address", INSIDE_V4 + INSIDE_V6)
def test_an_address_inside_is_refused(address: str) -> None:
    assert not is_allowed(ipaddress.ip_address(address), ())


@pytest.mark.parametrize("address", OUTSIDE_V4 + OUTSIDE_V6)
def test_a_public_address_is_allowed(address: str) -> None:
    assert is_allowed(ipaddress.ip_address(address), ())


@pytest.mark.parametrize("form", list(FORMS))
@pytest.mark.parametrize("address", INSIDE_V4)
def test_an_inner_address_inside_an_outer_form_is_refused(address: str, form: str) -> None:
    assert not is_allowed(FORMS[form](ipaddress.IPv4Address(address)), ())


@pytest.mark.parametrize("form", list(FORMS))
def test_a_public_address_inside_an_outer_form_is_judged_by_itself(form: str) -> None:
    outer = FORMS[form](ipaddress.IPv4Address("93.184.216.34"))
    assert is_allowed(outer, ())


@given(st.ip_addresses(v=4))
def test_an_outer_form_is_never_allowed_more_than_what_it_holds(address: ipaddress.IPv4Address) -> None:
    for wrap in FORMS.values():
        assert is_allowed(wrap(address), ()) <= is_allowed(address, ())


@given(st.ip_addresses())
def test_no_address_makes_the_question_fail(address: Any) -> None:
    assert is_allowed(address, ()) in (True, False)
    assert is_allowed(address, ("0.0.0.0/0",)) in (True, False)


@pytest.mark.parametrize(
    ("address", "allow", "is_ok"),
    [
        ("10.1.2.3", ("10.0.0.0/8",), True),
        ("10.1.2.3", ("10.1.2.3/32",), True),
        ("10.1.2.3", ("10.1.2.4/32",), False),
        ("10.1.2.3", ("10.1.2.9/24",), True),
        ("10.1.2.3", ("fd00::/8", "10.0.0.0/8"), True),
        ("127.0.0.1", ("10.0.0.0/8",), False),
        ("127.0.0.1", ("127.0.0.0/8",), True),
        ("::1", ("127.0.0.0/8",), False),
        ("::1", ("::1/128",), True),
        ("fd00::5", ("fd00::/8",), True),
        ("::ffff:10.1.2.3", ("10.0.0.0/8",), True),
        ("64:ff9b::a01:203", ("10.0.0.0/8",), True),
        ("::ffff:10.1.2.3", ("::ffff:0:0/96",), False),
        ("8.8.8.8", ("10.0.0.0/8",), True),
    ],
)
def test_it_may_allow_networks_of_its_own(address: str, allow: tuple[str, ...], is_ok: bool) -> None:
    assert is_allowed(ipaddress.ip_address(address), allow) is is_ok


# ------------------------------------------------------------------- names and numbers as they stand in a URL

WRITTEN = words(
    """
127.0.0.1 127.1 127.0.1 0x7f.0.0.1 0x7f000001 0177.0.0.1 017700000001 2130706433 localhost 10.1 0xa000001 167772161
0x0a.0.0.1 012.0.0.1 169.254.43518 0xa9fea9fe 2852039166 0xa9.0xfe.0xa9.0xfe 0251.0376.0251.0376 192.168.257
192.11010305
0 0x0 00
255.255.255.255 ::1 ::ffff:127.0.0.1 ::ffff:7f00:1 0:0:0:0:0:0:0:1 fe80::1%lo ①②⑦.⓪.⓪.① １２７.0.0.1
"""
)


@pytest.mark.parametrize("host", WRITTEN)
def test_a_host_is_refused_however_it_is_written(host: str) -> None:
    with pytest.raises((DestinationRefused, OSError)):
        resolve(host, 80, ())


def _answering(*addresses: str) -> Any:
    def getaddrinfo(host: str, port: int, **options: Any) -> list[Any]:
        return [
            (socket.AF_INET6 if ":" in item else socket.AF_INET, socket.SOCK_STREAM, 6, "", (item, port))
            for item in addresses
        ]

    return getaddrinfo


def test_a_name_with_one_public_and_one_private_address_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", _answering("93.184.216.34", "10.0.0.5"))
    with pytest.raises(DestinationRefused, match=r"resolves to 10\.0\.0\.5, which is not a public address"):
        resolve("erp.example.com", 443, ())


def test_the_address_that_was_checked_is_the_one_to_connect_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", _answering("2606:4700::1", "93.184.216.34"))
    assert resolve("erp.example.com", 443, ()) == "2606:4700::1"


def test_the_letter_says_what_to_do_about_a_system_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", _answering("10.0.0.5"))
    with pytest.raises(DestinationRefused, match="egress_allow"):
        resolve("erp.corp", 443, ())
    assert resolve("erp.corp", 443, ("10.0.0.0/24",)) == "10.0.0.5"


@pytest.mark.parametrize("host", ["", "a" * 300, "x..y", "\ud800.example", "no such host.invalid"])
def test_a_name_that_cannot_be_resolved_is_an_ordinary_failure(host: str) -> None:
    with pytest.raises((OSError, DestinationRefused)):
        resolve(host, 80, ())


def test_there_are_enough_forms() -> None:
    assert len(INSIDE_V4) + len(INSIDE_V6) + len(OUTSIDE_V4) + len(OUTSIDE_V6) + len(WRITTEN) >= 150
