"""Every family against real vectors, and against everything a forger may change."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from core.host.secrets import SecretUnavailable
from core.model.errors import SignatureRefused
from tests.webhooks.senders import NOW, PUBLIC_URL, SECRET, inbound, standard_headers
from webhooks import InboundRequest
from webhooks.adapter import Verifier
from webhooks.verifiers import known
from webhooks.verifiers.hashed_envelope import HashedEnvelope
from webhooks.verifiers.signed import SignedBytes
from webhooks.verifiers.static import StaticSecret

VECTORS = json.loads(Path(__file__).with_name("vectors.json").read_text(encoding="utf-8"))["vectors"]
SCHEMES: dict[str, Verifier] = {
    "hubspot-v1": known.HUBSPOT_V1,
    "hubspot-v2": known.HUBSPOT_V2,
    "hubspot-v3": known.HUBSPOT_V3,
    "standard-webhooks-v1": known.STANDARD,
    "standard-webhooks-v1a": known.STANDARD,
    "hub-signature-256": known.GITHUB,
    "espocrm": known.ESPOCRM,
    "wxbiz-sha1-aes": known.WECOM,
    "feishu-v2": known.FEISHU,
    "fxiaoke-sha1-aes": known.FXIAOKE,
    "frappe": known.FRAPPE,
    "twenty": known.TWENTY,
}

OTHER_SECRET = json.dumps({"token": "x", "encoding_aes_key": "A" * 43, "receive_id": "y"}).encode()


def secret_of(vector: dict[str, Any]) -> bytes:
    secret = vector["secret"]
    if isinstance(secret, str):
        return secret.encode()
    return secret["encrypt_key"].encode() if "encrypt_key" in secret else json.dumps(secret).encode()


def request_of(
    vector: dict[str, Any], body: bytes | None = None, headers: Mapping[str, str] | None = None
) -> InboundRequest:
    now = vector.get("now_epoch_s", NOW.timestamp())
    return inbound(
        vector["raw_body"].encode() if body is None else body,
        {**vector["headers"], **(headers or {})},
        method=vector["method"],
        url=vector.get("url", PUBLIC_URL),
        query=vector.get("query"),
        at=datetime.fromtimestamp(now, UTC),
    )


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["id"])
def test_every_vector_is_judged_as_its_vendor_judges_it(vector):
    verifier = SCHEMES[vector["scheme"]]
    if not vector["valid"]:
        with pytest.raises(SignatureRefused):
            verifier.verify(request_of(vector), [secret_of(vector)])
        return
    payload = verifier.verify(request_of(vector), [OTHER_SECRET, secret_of(vector)])
    assert payload == vector.get("expected_plaintext", vector["raw_body"]).encode()


@pytest.mark.parametrize("vector", [v for v in VECTORS if v["valid"]], ids=lambda vector: vector["id"])
def test_another_sources_secret_fits_no_vector(vector):
    with pytest.raises(SignatureRefused):
        SCHEMES[vector["scheme"]].verify(request_of(vector), [OTHER_SECRET])
    with pytest.raises(SignatureRefused):
        SCHEMES[vector["scheme"]].verify(request_of(vector), [])


SIGNED_BODIES = [v for v in VECTORS if v["valid"] and v["scheme"] not in ("wxbiz-sha1-aes", "fxiaoke-sha1-aes")]


@given(vector=st.sampled_from([v for v in SIGNED_BODIES if v["raw_body"]]), data=st.data())
def test_any_flipped_bit_of_a_body_is_refused(vector, data):
    body = bytearray(vector["raw_body"].encode())
    body[data.draw(st.integers(0, len(body) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(SignatureRefused):
        SCHEMES[vector["scheme"]].verify(request_of(vector, body=bytes(body)), [secret_of(vector)])


SIGNATURES = {
    "hubspot-v1": "X-HubSpot-Signature",
    "hubspot-v2": "X-HubSpot-Signature",
    "hubspot-v3": "X-HubSpot-Signature-v3",
    "standard-webhooks-v1": "webhook-signature",
    "standard-webhooks-v1a": "webhook-signature",
    "hub-signature-256": "X-Hub-Signature-256",
    "feishu-v2": "X-Lark-Signature",
    "frappe": "X-Frappe-Webhook-Signature",
    "twenty": "X-Twenty-Webhook-Signature",
}
READ_HEADERS = (
    *SIGNATURES.values(),
    "Signature",
    "X-Signature",
    "Authorization",
    "webhook-id",
    "webhook-timestamp",
    "X-HubSpot-Request-Timestamp",
    "X-Twenty-Webhook-Timestamp",
)


@given(vector=st.sampled_from([v for v in SIGNED_BODIES if v["scheme"] in SIGNATURES]), data=st.data())
def test_any_flipped_bit_of_a_signature_is_refused(vector, data):
    name = SIGNATURES[vector["scheme"]]
    signature = bytearray(vector["headers"][name].encode())
    signature[data.draw(st.integers(0, len(signature) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    changed = signature.decode("latin-1")
    assume("\n" not in changed and "\r" not in changed)  # no server hands such a header on
    request = request_of(vector, headers={name: changed})
    with pytest.raises(SignatureRefused):
        SCHEMES[vector["scheme"]].verify(request, [secret_of(vector)])


@given(st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=80), st.binary(max_size=80))
def test_hostile_headers_are_refused_and_never_break_the_server(text, body):
    headers = dict.fromkeys(READ_HEADERS, text)
    static = [StaticSecret(place=place, name="Authorization") for place in ("header", "basic", "query")]
    for verifier in [*SCHEMES.values(), *static]:
        with pytest.raises((SignatureRefused, SecretUnavailable)):
            verifier.verify(inbound(body, headers, query={"timestamp": text, "nonce": text}), [SECRET])


@pytest.mark.parametrize(("seconds", "is_fresh"), [(0, True), (299, True), (300, True), (301, False)])
@pytest.mark.parametrize("direction", [1, -1])
def test_the_window_is_five_minutes_both_ways(seconds, is_fresh, direction):
    body = b"{}"
    at = int(NOW.timestamp()) + seconds * direction
    request = inbound(body, standard_headers(body, at=at))
    if is_fresh:
        assert known.STANDARD.verify(request, [SECRET]) == body
    else:
        with pytest.raises(SignatureRefused, match="300 seconds away"):
            known.STANDARD.verify(request, [SECRET])


def test_both_secrets_of_a_rotation_are_live_and_so_are_both_signatures():
    body = b'{"a": 1}'
    old, new = standard_headers(body, key=b"o" * 32), standard_headers(body, key=b"n" * 32)
    both = {**old, "webhook-signature": old["webhook-signature"] + " v9,x " + new["webhook-signature"]}
    for secret in (b"o" * 32, b"whsec_" + base64.b64encode(b"n" * 32)):
        assert known.STANDARD.verify(inbound(body, both), [b"whsec_ZGVhZA==", secret]) == body


def test_an_id_that_could_be_read_in_two_ways_is_refused():
    body = b"{}"
    for message_id in ("msg.1", "a b", "x" * 257, "ümlaut"):
        with pytest.raises(SignatureRefused, match="id"):
            known.STANDARD.verify(inbound(body, standard_headers(body, message_id=message_id)), [SECRET])


def test_the_signature_is_over_the_raw_bytes_and_not_over_the_same_json_written_otherwise():
    vector = next(v for v in VECTORS if v["id"] == "espocrm-captured-real-sender")
    again = json.dumps(json.loads(vector["raw_body"])).encode()
    assert json.loads(again) == json.loads(vector["raw_body"])
    with pytest.raises(SignatureRefused):
        known.ESPOCRM.verify(request_of(vector, body=again), [secret_of(vector)])


def test_the_older_signature_of_espocrm_counts_alone_but_not_beside_a_spoilt_newer_one():
    vector = next(v for v in VECTORS if v["id"] == "espocrm-captured-real-sender")
    body, legacy = vector["raw_body"].encode(), vector["headers"]["X-Signature"]
    assert known.ESPOCRM.verify(inbound(body, {"X-Signature": legacy}), [secret_of(vector)]) == body
    with pytest.raises(SignatureRefused):
        known.ESPOCRM.verify(inbound(body, {"Signature": "AAAA", "X-Signature": legacy}), [secret_of(vector)])


def test_a_feishu_body_that_is_not_encrypted_is_verified_and_returned():
    vector = next(v for v in VECTORS if v["scheme"] == "feishu-v2")
    body = b'{"schema": "2.0"}'
    signature = hashlib.sha256(b"1763787600" + b"a1b2c3d4" + b"test key" + body).hexdigest()
    request = request_of(vector, body, {"X-Lark-Signature": signature})
    assert HashedEnvelope().verify(request, [b"test key"]) == body


def test_a_signed_time_in_milliseconds_has_the_same_window():
    verifier = SignedBytes(
        header="X-S",
        content=lambda request, timestamp: timestamp + request.body,
        timestamp_header="X-T",
        timestamp_per_second=1000,
    )
    for seconds, is_fresh in ((0, True), (-300, True), (301, False), (-301, False)):
        at = str(int((NOW + timedelta(seconds=seconds)).timestamp() * 1000))
        headers = {"X-T": at, "X-S": hmac.digest(b"k", at.encode() + b"b", "sha256").hex()}
        if is_fresh:
            assert verifier.verify(inbound(b"b", headers), [b"k"]) == b"b"
        else:
            with pytest.raises(SignatureRefused):
                verifier.verify(inbound(b"b", headers), [b"k"])


def test_secrets_are_compared_only_in_constant_time():
    sources = (Path(known.__file__).parent).glob("*.py")
    for path in sources:
        text = path.read_text(encoding="utf-8")
        assert "signature ==" not in text, path
        assert "shown ==" not in text, path
        assert "secret ==" not in text, path
