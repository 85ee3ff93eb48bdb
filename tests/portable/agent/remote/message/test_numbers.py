# SPDX-License-Identifier: Apache-2.0
"""One numeric form for what is hashed: equal digits on each interpreter, no float text."""

import hashlib
import json

from agent.core.errors import ConfigError
from agent.core.tunable import TUNABLES
from agent.remote.message import canonical, patch
from agent.remote.update.live_change import with_changes
from protocols import cbor
from protocols.cbor import Decimal
from protocols.errors import EncodeError
from protocols.rounding import number_text
from tests.portable.support.check import eq, raises
from tests.portable.support.remote_rig import RemoteRig

HEAP = "512wK"
LONG = ("test_each_value_with_two_decimals_has_its_own_digits",)


def digits_of(hundredths):
    """Return the digits of hundredths, by integers alone."""
    whole, rest = divmod(hundredths, 100)
    fraction = ("%02d" % rest).rstrip("0")
    return "%d" % whole + ("." + fraction if fraction else "")


def test_each_value_with_two_decimals_has_its_own_digits():
    hasher = hashlib.sha256()
    for hundredths in range(20001):
        value = json.loads("%d.%02d" % (hundredths // 100, hundredths % 100))
        expected = digits_of(hundredths)
        eq(number_text(value), expected)
        number = canonical.to_cbor(value)
        eq(canonical.decimal_text(number), expected)
        hasher.update(canonical.encode_config({"v": value}))
    eq(hasher.digest().hex()[:16], "f4eed3f67744b241")


def test_numbers_keep_their_sign_and_places():
    for value, places, text in (
        (-0.05, 2, "-0.05"),
        (-0.001, 2, "0"),
        (0, 3, "0"),
        (1200, 0, "1200"),
        (1e-7, 7, "0.0000001"),
        (99.995, 2, "100"),
        (-12.5, 1, "-12.5"),
    ):
        eq((value, number_text(value, places)), (value, text))


def test_a_float_is_refused_where_bytes_are_hashed():
    for value in (1.5, [1.5], cbor.Map([("a", 2.0)])):
        raises(EncodeError, cbor.encode, value)
    number = Decimal(8501, 2)
    body = patch.encode_patch(1_800_000_000, 0, 1_800_000_100, 60, [("x", number)])
    eq(patch.decode_patch(body).describe(), "patch x=85.01")


def test_the_texts_of_rejections_are_equal_on_each_interpreter():
    config = RemoteRig().agent.config
    texts = []
    for tunable in TUNABLES:
        for milli in (tunable.low - 1, tunable.high + 1):
            if tunable.live:
                change = [(tunable.path, canonical.decimal(milli, 3))]
                texts.append(str(raises(ConfigError, with_changes, config, change)))
    assert len(texts) > 20, texts
    eq(hashlib.sha256("\n".join(texts).encode()).digest().hex()[:16], "5d92eb6f8cac8697")
