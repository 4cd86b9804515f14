"""Sends to a 企业微信 (WeCom) group robot, and writes messages as it takes them.

Facts, from the maker's description of group robots (群机器人配置说明, path 91770 below
developer.work.weixin.qq.com/document) and its list of return codes (paths 90313 and 90455):

- A message is `POST` JSON in UTF-8 to `https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=…`. Who knows the key may
  write to the group, so the address is a secret.
- `text` holds at most 2,048 bytes, `markdown` 4,096; both in UTF-8. Escapes such as `\\u4f60` are refused in some
  calls (40033), so characters go out as themselves.
- `text` names whom to call in `mentioned_list` (user ids) and `mentioned_mobile_list` (phone numbers); in both kinds
  `<@userid>` inside the content calls one. `@all` calls everybody.
- A robot takes 20 messages a minute; more are refused with 45009 (130101 has been seen too), for up to ten minutes.
- The answer is 200 with `errcode`: 0 is well, -1 and 6000 are worth trying again, 93000 is a key that is not known.
  The number alone is to be judged; its text may change.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

from core.egress import http
from core.egress.sent import Outgoing, Sent, without
from core.host.secrets import resolve_secret
from core.model.errors import OutriggerError

LONGEST = {"text": 2048, "markdown": 4096}
"""Bytes of UTF-8 that the content of each kind of message may have."""

TOO_FAST_WAIT_S = 60.0
_AGAIN = frozenset({-1, 6000})
_TOO_FAST = frozenset({45009, 45033, 130101})


def body_of(content: str, format: str, mentions: Mapping[str, Any]) -> dict[str, Any]:
    """Return the message as the robot takes it; `mentions` may hold the `user` and the `phone` to call."""
    if format == "markdown":
        call = f"<@{mentions['user']}>\n" if mentions.get("user") else ""
        return {"msgtype": "markdown", "markdown": {"content": call + content}}
    text: dict[str, Any] = {"content": content}
    if mentions.get("user"):
        text["mentioned_list"] = [mentions["user"]]
    elif mentions.get("phone"):
        text["mentioned_mobile_list"] = [mentions["phone"]]
    return {"msgtype": "text", "text": text}


def send(message: Outgoing, options: Mapping[str, Any], *, now: datetime, allow: Sequence[str]) -> Sent:
    """Send the captured message once. Never raises for what an address, the robot or a network can do."""
    try:
        url = resolve_secret(options["url"]).decode("utf-8")
    except (OutriggerError, UnicodeError) as error:
        return Sent(False, False, None, str(error) if isinstance(error, OutriggerError) else "its url is no text")
    secrets = _secrets_in(url)
    if not secrets:
        return Sent(
            False, True, None, f"the secret {options['url']} holds no robot's address (http or https, with a key)"
        )
    headers = {"content-type": "application/json; charset=utf-8", "user-agent": http.USER_AGENT}
    answer = http.post(url, message.body.encode(), headers, allow=allow, whole=True)
    sent = answer if isinstance(answer, Sent) else _judge(answer, now)
    reason = sent.reason
    for secret in secrets:
        reason = without(secret, reason)
    return Sent(sent.is_ok, sent.is_final, sent.status, reason, sent.retry_after_s)


def _secrets_in(url: str) -> list[str]:
    """Return what must not be repeated of a robot's address: all of it, its query and its key."""
    try:
        parts = urlsplit(url)
        keys = parse_qs(parts.query).get("key", [])
    except ValueError:
        return []
    if parts.scheme not in ("http", "https") or not parts.hostname or not keys:
        return []
    return [url, parts.query, *keys]


def _judge(answer: http.Answer, now: datetime) -> Sent:
    if answer.status != 200:
        return http.judge(answer.status, answer.retry_after, now)
    try:
        said = json.loads(answer.body)
        code = int(said["errcode"])
    except (ValueError, TypeError, KeyError):
        if answer.is_cut:
            return Sent(False, False, 200, "200, but the rest of the answer did not come in time")
        return Sent(False, False, 200, "200 without an errcode: this is not a robot's answer")
    if code == 0:
        return Sent(True, True, 200, "accepted")
    reason = f"errcode {code}: {str(said.get('errmsg', ''))[:300]}"
    if code in _TOO_FAST:
        return Sent(False, False, 200, reason, TOO_FAST_WAIT_S)
    return Sent(False, code not in _AGAIN, 200, reason)
