# SPDX-License-Identifier: Apache-2.0
"""Authentication of a message gateway at the webhook: by its signature, or by a token.

Does not parse messages; see `http_server`. The gateways of RockBLOCK sign each request: the
parameter `JWT` is a JSON Web Token (RFC 7519, RS256) with the fields of the message as claims. The
message is taken from the signed claims only. A signed request that is sent again is harmless: the
datagram has a number. SOURCE: Ground Control, "Receiving MO messages via HTTP Webhook", with the
public key of the provider.
"""

import base64
import hmac
import json
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from deploy.errors import DeployError


class WebhookAuth:
    """`keys`: public keys of the providers; `token`: a text that the gateway sends as a bearer.

    Without both, any request is accepted.
    """

    def __init__(self, keys: list[RSAPublicKey], token: str = "") -> None:
        self._keys = keys
        self._token = token

    def message(self, fields: dict[str, str], authorization: str) -> tuple[str, str] | None:
        """Return IMEI and hexadecimal data of an authentic request; None: it is not authentic."""
        if self._token and is_bearer(authorization, self._token):
            return fields.get("imei", ""), fields.get("data", "")
        if self._keys:
            claims = self._claims(fields.get("JWT", ""))
            if claims is None:
                return None
            return str(claims.get("imei", "")), str(claims.get("data", ""))
        if self._token:
            return None
        return fields.get("imei", ""), fields.get("data", "")

    def _claims(self, text: str) -> dict[str, Any] | None:
        """Return the claims of a token that one of the keys has signed."""
        parts = text.split(".")
        try:
            head, body, signature = [_decode_base64(part) for part in parts]
            if json.loads(head)["alg"] != "RS256":
                return None
            claims = json.loads(body)
        except (ValueError, TypeError, KeyError, RecursionError):
            return None
        for key in self._keys:
            try:
                key.verify(signature, ".".join(parts[:2]).encode(), PKCS1v15(), SHA256())
            except InvalidSignature:
                continue
            return claims if isinstance(claims, dict) else None
        return None


def _decode_base64(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars="-_", validate=True)


def is_bearer(authorization: str, token: str) -> bool:
    """Return whether the header `Authorization` has the token. Takes the same time for any text."""
    scheme, _, value = authorization.partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(value.encode(), token.encode())


def read_public_key(path: Path) -> RSAPublicKey:
    """Read a public key (PEM). Raises DeployError."""
    try:
        key = load_pem_public_key(path.read_bytes())
    except (OSError, ValueError) as error:
        raise DeployError(f"{path}: {error}") from None
    if not isinstance(key, RSAPublicKey):
        raise DeployError(f"{path}: not an RSA key")
    return key
