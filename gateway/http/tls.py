"""The gateway's own TLS: certificate and key of the settings, TLS 1.2 or newer.

It reads both files at its start, so a renewed certificate is used after a restart.
"""

from __future__ import annotations

import ssl
from pathlib import Path

from axonstream.settings.settings import Settings


class TlsError(Exception):
    """Certificate and key cannot be used; the message says which setting to look at."""


def server_context(settings: Settings) -> ssl.SSLContext | None:
    """None where the settings name no certificate: the gateway then speaks plain HTTP. Raises TlsError."""
    certificate, key = settings.gateway_tls_cert_file, settings.gateway_tls_key_file
    if certificate is None or key is None:
        return None
    _check_readable(certificate, "AXONSTREAM_GATEWAY_TLS_CERT_FILE")
    _check_readable(key, "AXONSTREAM_GATEWAY_TLS_KEY_FILE")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        # A function, because without one OpenSSL would ask the terminal for the password of an encrypted key.
        context.load_cert_chain(certificate, key, settings.gateway_tls_key_password.get_secret_value)
    except (ssl.SSLError, ValueError) as error:
        raise TlsError(_what_is_wrong(error, certificate, key)) from None
    return context


def _check_readable(file: Path, setting: str) -> None:
    try:
        file.read_bytes()
    except OSError as error:
        raise TlsError(f"{setting} names {file}, which cannot be read: {error.strerror}") from None


def _what_is_wrong(error: Exception, certificate: Path, key: Path) -> str:
    if getattr(error, "reason", None) == "KEY_VALUES_MISMATCH":
        return (
            f"the key in {key} is not that of the certificate in {certificate}: set AXONSTREAM_GATEWAY_TLS_CERT_FILE "
            "and AXONSTREAM_GATEWAY_TLS_KEY_FILE to files that belong together"
        )
    return (
        f"{certificate} and {key} cannot be used for TLS ({error}): they must be a certificate chain and its key in "
        "PEM, and AXONSTREAM_GATEWAY_TLS_KEY_PASSWORD the password of a key that is encrypted"
    )
