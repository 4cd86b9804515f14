"""Posts webhooks and asks the API over one kept-open HTTP connection, with the standard library alone."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

from deploy.demo.crms.request import Request


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server said."""

    status: int
    body: bytes

    def json(self) -> Any:
        """Return the body as JSON, or an empty mapping when there is none."""
        return json.loads(self.body) if self.body else {}


class Client:
    """One HTTP/1.1 connection to the server; it is opened again when the server has closed it."""

    def __init__(self, url: str, key: str | None = None) -> None:
        parts = urlsplit(url)
        self._connection = http.client.HTTPConnection(parts.hostname or "127.0.0.1", parts.port, timeout=15)
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}

    def post(self, request: Request) -> Answer:
        """Post one webhook."""
        return self._ask("POST", request.path, request.body, dict(request.headers))

    def get(self, path: str, **query: Any) -> Any:
        """Read from the API; raises RuntimeError with the server's own words when it refuses."""
        if query:
            path += "?" + urlencode(query)
        return self._checked("GET", path, None)

    def send(self, method: str, path: str, body: Any) -> Any:
        """Change something through the API; raises RuntimeError with the server's own words when it refuses."""
        return self._checked(method, path, json.dumps(body).encode())

    def text(self, path: str, method: str = "GET") -> Answer:
        """Read a page that is not JSON, such as the metrics."""
        return self._ask(method, path, None, dict(self._headers))

    def form(self, path: str, **fields: str) -> Answer:
        """Send a form, as a browser does from a page."""
        headers = {**self._headers, "Content-Type": "application/x-www-form-urlencoded"}
        return self._ask("POST", path, urlencode(fields).encode(), headers)

    def try_send(self, method: str, path: str, body: Any) -> Answer:
        """Ask for a change through the API and return the answer, a refusal too."""
        headers = {**self._headers, "Content-Type": "application/json"}
        return self._ask(method, path, json.dumps(body).encode(), headers)

    def _checked(self, method: str, path: str, body: bytes | None) -> Any:
        headers = {**self._headers, **({"Content-Type": "application/json"} if body is not None else {})}
        answer = self._ask(method, path, body, headers)
        if answer.status >= 400:
            raise RuntimeError(f"{method} {path}: {answer.status} {answer.body[:300].decode(errors='replace')}")
        return answer.json()

    def _ask(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> Answer:
        for attempt in (1, 2):
            try:
                self._connection.request(method, path, body=body, headers=headers)
                response = self._connection.getresponse()
                return Answer(response.status, response.read())
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
                # The server may close an idle connection; a webhook sent twice is a duplicate and does no harm.
                self._connection.close()
                if attempt == 2:
                    raise
        raise AssertionError("unreachable")
