"""The OpenAPI 3.1 description of the API, made from the views themselves."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Any

import flask_smorest

from core.model.schemas import Amount, Instant
from core.web import problems, schemas


def settings() -> dict[str, Any]:
    """Return the configuration by which flask-smorest describes the API."""
    return {
        "API_TITLE": "Outrigger",
        "API_VERSION": "v1",
        "OPENAPI_VERSION": "3.1.0",
        "OPENAPI_URL_PREFIX": "/",
        "OPENAPI_JSON_PATH": "openapi.json",
        "API_SPEC_OPTIONS": {
            "info": {
                "description": "What the CRMs told us, what the plugins decided and why, and what stands where.",
                "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
                "x-release": _release(),
            },
            "security": [{"key": []}],
            "components": {"securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}},
        },
    }


def _release() -> str:
    try:
        return version("crm-outrigger")
    except PackageNotFoundError:
        return "source"


class Api(flask_smorest.Api):
    """flask-smorest's Api with our error shape and our own fields."""

    ERROR_SCHEMA = schemas.Problem

    def _init_spec(self, **options: Any) -> None:
        super()._init_spec(**options)
        self.register_field(Instant, "string", "date-time")
        self.register_field(Amount, "string", "decimal")

    def _register_responses(self) -> None:
        self.DEFAULT_RESPONSE_CONTENT_TYPE = problems.MEDIA_TYPE
        super()._register_responses()
        del self.DEFAULT_RESPONSE_CONTENT_TYPE  # the class's own again, for the answers

    def _register_error_handlers(self) -> None:
        """Leave errors to `core.web.problems`."""
