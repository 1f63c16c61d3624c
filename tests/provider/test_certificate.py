"""The provider's certificate and where it is kept."""

import os
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from forebay_provider.certificate import (
    RENEWED_BEFORE_SECONDS,
    VALID_SECONDS,
    load_or_make,
    make,
)

NOW = 1_800_000_000.0


def test_certificate_is_what_terraform_accepts() -> None:
    certificate = x509.load_der_x509_certificate(make(NOW).der)

    key = certificate.public_key()
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1)
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    assert certificate.not_valid_before_utc.timestamp() < NOW
    assert certificate.not_valid_after_utc.timestamp() == NOW + VALID_SECONDS


def test_kept_certificate_is_used_until_a_day_before_its_end(tmp_path: Path) -> None:
    first = load_or_make(tmp_path, NOW)

    later = load_or_make(tmp_path, NOW + VALID_SECONDS - RENEWED_BEFORE_SECONDS - 1)
    renewed = load_or_make(tmp_path, NOW + VALID_SECONDS - RENEWED_BEFORE_SECONDS)

    assert later == first
    assert renewed != first


def test_certificate_of_a_later_clock_is_made_anew(tmp_path: Path) -> None:
    first = load_or_make(tmp_path, NOW)

    assert load_or_make(tmp_path, NOW - 3600) != first


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"key": 1}', "\udcff"])
def test_file_that_is_not_whole_is_replaced(tmp_path: Path, content: str) -> None:
    file = tmp_path / "certificate.json"
    file.write_bytes(content.encode("utf-8", "surrogateescape"))
    file.chmod(0o600)

    made = load_or_make(tmp_path, NOW)

    assert load_or_make(tmp_path, NOW) == made


@pytest.mark.skipif(os.name != "posix", reason="modes are of Unix")
def test_file_that_others_may_read_is_not_trusted(tmp_path: Path) -> None:
    first = load_or_make(tmp_path, NOW)
    (tmp_path / "certificate.json").chmod(0o644)

    assert load_or_make(tmp_path, NOW) != first


def test_folder_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")

    assert load_or_make(blocked, NOW).der
