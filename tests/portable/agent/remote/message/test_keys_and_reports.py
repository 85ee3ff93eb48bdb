# SPDX-License-Identifier: Apache-2.0
"""Keyring, parameters, canonical bytes, and the times of reports about rejected messages."""

import hashlib

from agent.core.tunable import LIMITS, OPERATE
from agent.remote.message import canonical, parameters
from agent.remote.message.keyring import Keyring
from agent.remote.message.reject import Rejection, RejectionLog
from protocols.cbor import Decimal, Map, encode
from protocols.errors import EncodeError
from protocols.time_units import SECOND
from tests.portable.support.check import eq, raises


def test_signatures_of_site_keys_alone():
    keyring = Keyring(
        [
            {"number": 1, "public": "11" * 32, "role": "site"},
            {"number": 2, "public": "22" * 32, "role": "operate"},
        ]
    )
    for numbers, is_site in (([], False), ([1], True), ([1, 2], False), ([9], False)):
        eq((numbers, keyring.is_site(numbers)), (numbers, is_site))


def test_two_signatures_come_from_two_keys():
    first, second = "11" * 32, "22" * 32
    keyring = Keyring(
        [
            {"number": 1, "public": first, "role": "operate"},
            {"number": 2, "public": second, "role": "limits"},
            {"number": 3, "public": second, "role": "operate"},
            {"number": 4, "public": "33" * 32, "role": "operate"},
        ]
    )
    eq((keyring.public_key(1), keyring.public_key(9)), (bytes.fromhex(first), None))
    for numbers, operate, limits in (
        ([], False, False),
        ([9], False, False),
        ([1], True, False),
        ([2], True, False),
        ([1, 1], True, False),
        ([2, 3], True, False),  # one key with two numbers
        ([1, 4], True, False),  # no role
        ([1, 2], True, True),
        ([2, 1], True, True),
        ([9, 1, 2], True, True),
        ([2, 9], True, False),
    ):
        eq((numbers, keyring.is_sufficient(numbers, OPERATE)), (numbers, operate))
        eq((numbers, keyring.is_sufficient(numbers, LIMITS)), (numbers, limits))


def test_parameters_have_a_number_and_a_role():
    for key in (1, "control.supply.setpoint_c"):
        eq(
            (parameters.path_of(key), parameters.role_of(key)),
            ("control.supply.setpoint_c", OPERATE),
        )
        eq(parameters.is_live(key), True)
    eq(parameters.number_of("control.supply.setpoint_c"), 1)
    eq((parameters.role_of(16), parameters.is_live(16)), (LIMITS, False))
    for key, path in ((99, None), ("site", "site")):
        eq((parameters.path_of(key), parameters.role_of(key)), (path, LIMITS))
        eq(parameters.is_live(key), False)
    eq(parameters.number_of("site"), None)
    eq((parameters.to_nano(3), parameters.to_nano(Decimal(-15, 1))), (3 * 10**9, -1_500_000_000))
    eq(parameters.to_nano(Decimal(1, 9)), 1)


def test_a_configuration_has_one_form_in_bytes():
    raw = {"b": [1, 2.5, None], "a": {"x": True, "y": "t"}, "c": 3.0}
    parts = [
        ("a", Map([("x", True), ("y", "t")])),
        ("b", [1, Decimal(25, 1), None]),
        ("c", 3),
    ]
    data = encode(Map(parts))
    eq(canonical.encode_config(raw), data)
    eq(encode(canonical.to_cbor(raw)), data)
    eq(canonical.decode_config(data), {"a": raw["a"], "b": raw["b"], "c": 3})
    eq(canonical.decode_config(encode([1])), {})
    eq(canonical.hash_config(data), hashlib.sha256(data).digest())
    raises(EncodeError, canonical.encode_config, {"a": {1, 2}})


def test_decimals_are_in_lowest_terms():
    for mantissa, places, want in (
        (1500, 3, Decimal(15, 1)),
        (1000, 3, 1),
        (0, 7, 0),
        (12, 0, 12),
        (120, 0, 120),
        (-25, 1, Decimal(-25, 1)),
    ):
        eq(canonical.decimal(mantissa, places), want)
    eq(canonical.to_cbor(0.1234567), Decimal(1_234_567, 7))
    eq(canonical.to_cbor(0.12345674), Decimal(1_234_567, 7))
    eq(canonical.to_json(Decimal(15, 1)), 1.5)
    eq(canonical.to_json(Map([("a", [Map([("b", Decimal(5, 1))])])])), {"a": [{"b": 0.5}]})


def test_secrets_are_left_out_at_each_depth():
    raw = {"pin": 1, "token": 2, "a": [{"secret": 3, "b": {"password": 4, "c": 5}}], "tokens": 6}
    eq(canonical.without_secrets(raw), {"a": [{"b": {"c": 5}}], "tokens": 6})


def test_a_rejection_has_a_reason_of_the_list():
    made = Rejection("replay")
    eq((str(made), made.reason, made.detail), ("replay", "replay", ""))
    made = Rejection("store", "full")
    eq((str(made), made.reason, made.detail), ("store: full", "store", "full"))
    raises(AssertionError, Rejection, "nonsense")


def test_rejections_are_reported_at_most_each_ten_seconds():
    log = RejectionLog()
    eq((log.count, log.last, log.report_due(0), log.audit_due(0)), (0, ("", ""), False, False))
    log.on_reported(100 * SECOND)  # without a rejection it starts no interval
    log.add(Rejection("store", "d" * 200), True)
    eq((log.count, log.last), (1, ("store", "d" * 120)))
    eq((log.report_due(0), log.audit_due(0)), (True, False))
    log.on_reported(0)
    eq(log.report_due(99 * SECOND), False)
    log.add(Rejection("replay"), True)
    eq((log.report_due(10 * SECOND - 1), log.report_due(10 * SECOND)), (False, True))
    log.on_reported(10 * SECOND)
    eq(log.count, 2)


def test_unsigned_rejections_have_one_audit_entry_each_ten_minutes():
    log = RejectionLog()
    log.add(Rejection("malformed", "short"), False)
    log.add(Rejection("replay"), False)
    eq(log.audit_due(0), True)
    eq(log.take_unaudited(SECOND), (2, "replay"))
    eq((log.audit_due(601 * SECOND), log.take_unaudited(SECOND)[0]), (False, 0))
    log.add(Rejection("malformed", "short"), False)
    eq((log.audit_due(601 * SECOND - 1), log.audit_due(601 * SECOND)), (False, True))
    eq(log.take_unaudited(0), (1, "malformed: short"))
