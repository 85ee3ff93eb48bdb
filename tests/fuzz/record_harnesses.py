# SPDX-License-Identifier: Apache-2.0
"""Harnesses of messages of operators, configurations and stored records."""

from __future__ import annotations

import json
import random
from typing import Any

from agent.commands import profiles
from agent.config import file
from agent.config.load import load
from agent.core.errors import ConfigError
from agent.energy import account
from agent.log import segment
from agent.power.schedule import Schedule
from agent.remote.message import canonical, command, manifest, patch
from agent.remote.message.reject import Rejection
from agent.remote.message.verifier import MessageVerification
from agent.remote.storage import audit, config_slots
from agent.satcom import persistence
from deploy.errors import OpsError
from deploy.ops.report.unit_report import parse_report
from deploy.relay.pipeline import Pipeline, PipelineSettings
from deploy.relay.records.database import RelayDatabase
from protocols import cbor
from protocols.errors import DecodeError, EncodeError
from protocols.signed_message import COMMAND, PATCH, SignedMessage, pack
from tests.agent.remote.message_fuzzer import NOW_S, make_context, make_keyring, make_valid
from tests.fuzz.harness import Feed, Harness
from tests.fuzz.traffic import captured, make_run


def _verify(data: bytes) -> None:
    MessageVerification(data, _KEYS, _CONTEXT, NOW_S)


_KEYS, _CONTEXT = make_keyring(), make_context()


def _signed(kind: int) -> Any:
    """The input is the body of a message with a valid frame."""

    def feed(body: bytes) -> None:
        _verify(pack(SignedMessage(kind, body, [(1, bytes(64))])))

    return lambda: (feed, None)


def _function(call: Any) -> Any:
    return lambda: (call, None)


def _config_text(data: bytes) -> None:
    file.parse(data.decode("latin-1"), "x")


def _config(data: bytes) -> None:
    load(file.parse(data.decode("latin-1"), "x"), _PROFILES)


def _config_cbor(data: bytes) -> None:
    load(canonical.decode_config(data), _PROFILES)


_PROFILES = profiles()


def _segment(data: bytes) -> None:
    scanned = segment.scan(data, b"\x74\xad\x1b", 0)
    assert scanned.tail_bytes <= len(data)
    segment.parse_name(data.decode("latin-1"))


def _patch_changes(data: bytes) -> None:
    """The input is one value of a patch; it is applied to a configuration."""
    value = cbor.decode(data)
    changes = [("cooling.dew.sensors", value), (1, value)]
    raw = patch.apply_changes(_RAW, changes)
    canonical.encode_config(raw)
    load(raw, _PROFILES)


_RAW: dict[str, Any] = make_run("sbd", "casic").config


def _sealed(data: bytes) -> None:
    """A record with a right hash and any content."""
    records = {config_slots.RECORD: config_slots.with_hash(data)}
    config_slots.load_slots(None, records.get)
    audit.recover(lambda _: data)


def _schedule(data: bytes) -> None:
    Schedule().decode(data)


def _account(data: bytes) -> None:
    account.decode(data.decode("latin-1"))


class ClosingPipeline(Pipeline):
    """A pipeline that closes its database."""

    def close(self) -> None:
        """Close the database."""
        self.database.close()


def _relay() -> tuple[Feed, object]:
    pipeline = ClosingPipeline(RelayDatabase(":memory:", "r"), PipelineSettings())

    def feed(data: bytes) -> None:
        pipeline.ingest.ingest_batch([("a/b", data)], check_limits=False)
        while pipeline.process():
            pipeline.take_receipts()

    return feed, pipeline


def make_harnesses() -> list[Harness]:
    """Return the harnesses of this file."""
    traffic = captured("sbd")
    config = _RAW
    records = [d.partition(b"\0")[2] for p in traffic if p.endswith("<") for d in traffic[p]]
    uplink = [data[data.find(b"/tele") + 7 :] for data in traffic.get("broker<", ())]
    rng = random.Random(1)
    messages = [make_valid(rng) for _ in range(40)]
    rejected = (Rejection,)
    return [
        Harness("verifier", _function(_verify), rejected, messages),
        Harness("patch_body", _signed(PATCH), rejected, messages),
        Harness("command_body", _signed(COMMAND), rejected, messages),
        Harness("patch", _function(patch.decode_patch), rejected, messages),
        Harness("command", _function(command.decode_command), rejected, messages),
        Harness("manifest", _function(manifest.decode_manifest), rejected, messages),
        Harness(
            "config_text", _function(_config_text), (ConfigError,), [json.dumps(config).encode()]
        ),
        Harness("config", _function(_config), (ConfigError,), [json.dumps(config).encode()[:4000]]),
        Harness(
            "config_cbor",
            _function(_config_cbor),
            (ConfigError, DecodeError),
            [canonical.encode_config(config)],
        ),
        Harness(
            "patch_changes",
            _function(_patch_changes),
            (DecodeError, EncodeError, ConfigError, Rejection),
            [b"\x18\x21", b"\x81erooom1", b"\xa1\x61a\x01", b"\xc4\x82\x20\x19\x01\x45"],
        ),
        Harness("segment", _function(_segment), (), records),
        Harness("sealed_record", _function(_sealed), (), records),
        Harness("schedule", _function(_schedule), (), [b"1795500000000000 cap_w 5\n0 cap_pct 50"]),
        Harness("account", _function(_account), (), records),
        Harness("spend_record", _function(persistence.decode), (), records),
        Harness("report", _function(parse_report), (OpsError,), records + uplink),
        Harness("relay", _relay, (), records + uplink),
    ]
