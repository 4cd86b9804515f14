"""References to secrets: where they are found, and that nothing of them is ever told."""

from __future__ import annotations

import pytest

from core.host.secrets import SecretUnavailable, check_reference, resolve_secret


def test_a_variable_comes_first_and_then_the_file_that_its_file_variable_names(tmp_path):
    path = tmp_path / "secret"
    path.write_bytes(b"from file\r\n")
    assert resolve_secret("env:ERP", {"ERP": "密钥", "ERP_FILE": str(path)}) == "密钥".encode()
    assert resolve_secret("env:ERP", {"ERP_FILE": str(path)}) == b"from file"
    assert resolve_secret(f"file:{path}", {}) == b"from file"


def test_the_environment_of_the_process_is_the_default(monkeypatch):
    monkeypatch.setenv("ERP_SECRET", "abc")
    assert resolve_secret("env:ERP_SECRET") == b"abc"


def test_only_one_line_end_is_taken_off(tmp_path):
    path = tmp_path / "secret"
    path.write_bytes(b" a \n\n")
    assert resolve_secret(f"file:{path}", {}) == b" a \n"


def test_a_secret_that_cannot_be_read_is_named_by_its_reference_alone(tmp_path):
    empty, large = tmp_path / "empty", tmp_path / "large"
    empty.write_bytes(b"\n")
    large.write_bytes(b"x" * 20_000)
    for reference, environ in (
        ("env:ERP", {}),
        ("env:ERP", {"ERP": ""}),
        ("env:ERP", {"ERP_FILE": str(tmp_path / "absent")}),
        (f"file:{empty}", {}),
        (f"file:{large}", {}),
        (f"file:{tmp_path}", {}),
    ):
        with pytest.raises(SecretUnavailable) as refusal:
            resolve_secret(reference, environ)
        assert reference in refusal.value.message
        assert "xxx" not in refusal.value.message


@pytest.mark.parametrize(
    "reference", ["hunter2", "whsec_aHVudGVyMg==", "env:hunter2!", "file:hunter2", "env:", "file:"]
)
def test_what_is_no_reference_may_be_the_secret_and_is_not_repeated(reference):
    fault = check_reference(reference)
    assert fault is not None
    assert "hunter2" not in fault
    with pytest.raises(SecretUnavailable) as refusal:
        resolve_secret(reference, {})
    assert "hunter2" not in refusal.value.message
    assert "aHVudGVy" not in refusal.value.message


def test_good_references_have_no_fault():
    assert check_reference("env:ERP_WEBHOOK_SECRET") is None
    assert check_reference("file:/run/secrets/erp") is None
