"""Envelopes, static secrets and network identities: right proofs count, all others are refused alike."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.model.errors import SignatureRefused
from tests.webhooks.senders import KEY, inbound
from webhooks import InboundRequest
from webhooks.verifiers import known
from webhooks.verifiers.network import NetworkIdentity, parse_networks
from webhooks.verifiers.parts import secret_parts, text_member
from webhooks.verifiers.signed import AllOf
from webhooks.verifiers.static import StaticSecret
from webhooks.verifiers.wxbiz import WxBiz, sign


def wecom(message: bytes, receive_id: str) -> tuple[InboundRequest, bytes]:
    parts = {"token": "t", "encoding_aes_key": base64.b64encode(KEY).decode()[:43], "receive_id": receive_id}
    sealed = WxBiz().seal(message, parts, b"r" * 16)
    query = {"msg_signature": sign("t", "1", "n", sealed), "timestamp": "1", "nonce": "n"}
    return inbound(f"<xml><Encrypt>{sealed}</Encrypt></xml>".encode(), query=query), json.dumps(parts).encode()


@given(st.binary(max_size=100))
def test_what_is_sealed_for_a_receiver_opens_for_it_and_for_nobody_else(message):
    request, secret = wecom(message, "corp-1")
    assert known.WECOM.verify(request, [secret]) == message
    _, other = wecom(message, "corp-2")
    with pytest.raises(SignatureRefused):
        known.WECOM.verify(request, [other])


def test_every_way_of_failing_to_decrypt_gives_one_and_the_same_refusal():
    _, secret = wecom(b"", "corp-1")
    parts = secret_parts(secret)
    good = base64.b64decode(WxBiz().seal(b"hello", parts, b"r" * 16))
    messages = set()
    for broken in (b"", good[:-1], good[:-16], good[:16], good[::-1], bytes(64), b"x" * 48):
        with pytest.raises(SignatureRefused) as refusal:
            WxBiz().open(base64.b64encode(broken).decode(), parts)
        messages.add(refusal.value.message)
    assert len(messages) == 1


@pytest.mark.parametrize(
    ("verifier", "parts", "member"),
    [
        (known.YONYOU, {"app_key": "ak", "app_secret": "1b2c-3d4e-aaaa"}, "msgSignature"),
        (known.DINGTALK, {"token": "t", "encoding_aes_key": "A" * 43, "receive_id": "suite"}, None),
    ],
)
def test_the_other_envelopes_of_the_family_differ_by_parameters_alone(verifier, parts, member):
    token = parts.get("token") or parts["app_secret"]
    sealed = verifier.seal("审批".encode(), parts, b"r" * 16)
    signature = sign(token, "5", "n", sealed)
    if member:
        request = inbound(json.dumps({member: signature, "timestamp": 5, "nonce": "n", "encrypt": sealed}).encode())
    else:
        request = inbound(
            json.dumps({"encrypt": sealed}).encode(),
            query={"signature": signature, "timeStamp": "5", "nonce": "n"},
        )
    assert verifier.verify(request, [json.dumps(parts).encode()]).decode() == "审批"


def basic(text: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(text.encode()).decode()}


@pytest.mark.parametrize(
    ("verifier", "right", "wrong"),
    [
        (StaticSecret(name="X-Token"), {"headers": {"x-token": "s3cret"}}, {"headers": {"x-token": "s3cres"}}),
        (
            StaticSecret(prefix="Bearer "),
            {"headers": {"Authorization": "Bearer s3cret"}},
            {"headers": {"Authorization": "s3cret"}},
        ),
        (StaticSecret(place="query", name="code"), {"query": {"code": "s3cret"}}, {"query": {"c": "s3cret"}}),
        (StaticSecret(place="basic"), {"headers": basic("s3cret")}, {"headers": basic("s3cret:")}),
        (
            StaticSecret(place="body", name="auth.token"),
            {"body": b'{"auth": {"token": "s3cret"}}'},
            {"body": b'{"auth": {"token": ["s3cret"]}}'},
        ),
    ],
)
def test_a_static_secret_counts_where_it_is_expected_and_nowhere_else(verifier, right, wrong):
    request = inbound(**right)
    assert verifier.verify(request, [b"older", b"s3cret"]) == request.body
    for refused in (inbound(**wrong), inbound(b"{}")):
        with pytest.raises(SignatureRefused):
            verifier.verify(refused, [b"older", b"s3cret"])


def test_a_network_identity_needs_the_address_and_the_value():
    organisation = NetworkIdentity(
        networks=parse_networks(["198.51.100.0/24", "2001:db8::/32"]),
        value_of=lambda request: text_member(request.document(), "org"),
    )
    body = b'{"org": "00D1"}'
    for address in ("198.51.100.9", "2001:db8::1", "::ffff:198.51.100.9"):
        assert organisation.verify(inbound(body, remote_addr=address), [b"00D1"]) == body
    for address in ("192.0.2.7", "", "nonsense", "::ffff:192.0.2.7"):
        with pytest.raises(SignatureRefused):
            organisation.verify(inbound(body, remote_addr=address), [b"00D1"])
    with pytest.raises(SignatureRefused):
        organisation.verify(inbound(body, remote_addr="198.51.100.9"), [b"00D2"])
    with pytest.raises(ValueError, match="needs networks"):
        NetworkIdentity()


def test_several_proofs_together_must_all_hold():
    both = AllOf((NetworkIdentity(networks=parse_networks(["192.0.2.0/24"])), StaticSecret(name="X-Token")))
    assert both.verify(inbound(b"x", {"X-Token": "a"}), [b"a"]) == b"x"
    with pytest.raises(SignatureRefused):
        both.verify(inbound(b"x", {"X-Token": "a"}, remote_addr="203.0.113.1"), [b"a"])
    with pytest.raises(SignatureRefused):
        both.verify(inbound(b"x"), [b"a"])
