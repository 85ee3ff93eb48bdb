# SPDX-License-Identifier: Apache-2.0
"""TLS of the Kafka output: files that change, and the reason of a failure.

The connection itself is that of librdkafka. It reads the files once for each producer, and says
only "could not be verified" of a server that has expired or has another name.
SOURCE: CONFIGURATION.md of librdkafka.
"""

from collections.abc import Mapping
from typing import Any

from deploy.relay.outputs.tls.server_tls import read_problem
from drivers.ports.cpython.certificate_files import (
    FileStamps,
    load_certificate,
    make_client_context,
)

_FILES = ("ssl.ca.location", "ssl.certificate.location", "ssl.key.location")
_PORT = "9092"


class KafkaTls:
    """The TLS of a producer with some properties."""

    def __init__(self, properties: Mapping[str, Any]) -> None:
        self._is_used = str(properties.get("security.protocol", "")).lower().endswith("ssl")
        self._properties = properties
        self._stamps = FileStamps(str(properties[name]) for name in _FILES if name in properties)

    def has_changed(self) -> bool:
        """Return whether a file is another one than at the last call, or at the start."""
        has_changed = self._stamps.has_changed()
        self._stamps.keep()
        return has_changed

    def problem(self) -> str:
        """Return why TLS with the first server fails; "": it does not, or this cannot tell."""
        if not self._is_used or "ssl.key.password" in self._properties:
            return ""
        authority, certificate, key = (self._properties.get(name) for name in _FILES)
        first = str(self._properties["bootstrap.servers"]).partition(",")[0]
        host, _, port = (first if ":" in first else f"{first}:{_PORT}").rpartition(":")
        try:
            context = make_client_context(authority)
            if certificate is not None:
                load_certificate(context, certificate, key)
            if self._properties.get("ssl.endpoint.identification.algorithm") == "none":
                context.check_hostname = False
            return read_problem((host, int(port)), context)
        except (OSError, ValueError) as error:
            return str(error)
