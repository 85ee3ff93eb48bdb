# SPDX-License-Identifier: Apache-2.0
"""Authentication of a message gateway at the webhook: by its signature, or by a token.

Does not parse messages; see `http_server`. The gateways of RockBLOCK sign each request: the
parameter `JWT` is a JSON Web Token (RFC 7519, RS256) with the fields of the message as claims. The
message is taken from the signed claims only. `exp` and `nbf` count if the provider sends them, with
two minutes for clocks that differ. A signed request that is sent again is harmless: the relay knows
number and content of each datagram. SOURCE: Ground Control, "Receiving MO messages via HTTP
Webhook", with the public key of the provider.
"""

import base64
import hmac
import json
import time
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from deploy.errors import DeployError
from deploy.secret_file import SecretFile

_LEEWAY_S = 120
_PARTS = 3
"""Of a token: header, claims, signature."""


class WebhookAuth:
    """`keys`: public keys of the providers; `token`: what the gateway sends as a bearer.

    Without both, any request is accepted.
    """

    def __init__(self, keys: list[RSAPublicKey], token: SecretFile | None = None) -> None:
        self._keys = keys
        self._token = token

    def message(self, fields: dict[str, str], authorization: str) -> tuple[str, str] | None:
        """Return IMEI and hexadecimal data of an authentic request; None: it is not authentic."""
        if self._token is not None and is_bearer(authorization, self._token.text()):
            return _message(fields)
        if self._keys:
            claims = self._claims(fields.get("JWT", ""))
            return None if claims is None else _message(claims)
        return None if self._token is not None else _message(fields)

    def _claims(self, text: str) -> dict[str, Any] | None:
        """Return the claims of a token that one of the keys has signed."""
        parts = text.split(".", _PARTS)  # not more: who sends them is not known yet
        if len(parts) != _PARTS:
            return None
        try:
            head, body, signature = [_decode_base64(part) for part in parts]
            header = json.loads(head)
            if header["alg"] != "RS256" or "crit" in header:  # an extension that must be known
                return None
            claims = json.loads(body)
        except (ValueError, TypeError, KeyError, RecursionError):
            return None
        for key in self._keys:
            try:
                key.verify(signature, ".".join(parts[:2]).encode(), PKCS1v15(), SHA256())
            except InvalidSignature:
                continue
            return claims if isinstance(claims, dict) and _is_current(claims) else None
        return None


def _message(fields: dict[str, Any]) -> tuple[str, str]:
    """Return IMEI and data of a request. Raises ValueError if it has no field `data`."""
    if "data" not in fields:
        raise ValueError("no data")
    return str(fields.get("imei") or ""), str(fields["data"] or "")


def _is_current(claims: dict[str, Any]) -> bool:
    """Return whether a token can be used now. A time that is no number is never now."""
    now = time.time()
    times = [claims.get("exp", now), claims.get("nbf", now)]
    if not all(type(value) in (int, float) for value in times):
        return False
    return bool(times[1] - _LEEWAY_S <= now < times[0] + _LEEWAY_S)


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
