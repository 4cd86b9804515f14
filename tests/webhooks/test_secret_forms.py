"""The form of secrets is judged for every adapter there is, and only where a form is prescribed."""

import pytest

from core.host.settings import SourceSettings
from webhooks.adapter import ADAPTERS
from webhooks.secret_forms import check_secret

OPTIONS = {"hubspot": {"signature": "v3"}, "frappe": {"timezone": "Asia/Shanghai"}}


@pytest.mark.parametrize("adapter", sorted(ADAPTERS))
def test_a_secret_of_every_adapter_can_be_judged(adapter: str) -> None:
    source = SourceSettings("crm", adapter, ("env:SECRET",), options=OPTIONS.get(adapter, {}))
    assert check_secret(source, b"a plain secret of enough length") is None


def test_a_shortened_standard_secret_is_told() -> None:
    fault = check_secret(SourceSettings("crm", "standard", ("env:SECRET",)), b"whsec_c2hvcnQ=")
    assert fault is not None
    assert "24 to 64 bytes" in fault
