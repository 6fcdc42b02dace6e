"""The secrets that webhook deliveries are signed with, encrypted under the server's secret (Fernet: AES-128, HMAC).

They cannot be kept as a digest: a delivery is signed with the secret itself. Who reads the control topic and does not
have AXONSTREAM_SERVER_SECRET learns none of them; with another server secret they cannot be opened again.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64encode
from secrets import token_urlsafe

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from axonstream.gateway.control.derived_keys import derived_key
from axonstream.gateway.http.errors import RefusedError


class WebhookSecrets:
    """Seals and opens; without a server secret it refuses to seal."""

    def __init__(self, server_secret: bytes) -> None:
        keys = [
            derived_key(server_secret, "webhook secrets"),
            # Nothing is sealed with it any more; what the version before HKDF has sealed is opened.
            hmac.digest(server_secret, b"axonstream webhook secrets", "sha256"),
        ]
        self._fernet = MultiFernet([Fernet(urlsafe_b64encode(key)) for key in keys]) if server_secret else None

    def new(self) -> str:
        """A secret for an endpoint whose owner gave none."""
        return f"whsec_{token_urlsafe(32)}"

    def seal(self, secret: str) -> str:
        """What is kept. Raises RefusedError 501 where the server has no secret of its own."""
        if self._fernet is None:
            raise RefusedError(
                501,
                "webhook endpoints cannot be kept: the server has no secret to encrypt theirs with",
                "Start the gateway with AXONSTREAM_SERVER_SECRET.",
            )
        return self._fernet.encrypt(secret.encode()).decode()

    def open(self, sealed: str) -> str | None:
        """The secret; None when it was sealed with another server secret, or not at all."""
        if self._fernet is None or not sealed:
            return None
        try:
            return self._fernet.decrypt(sealed).decode()
        except InvalidToken:
            return None
