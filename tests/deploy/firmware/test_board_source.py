# SPDX-License-Identifier: Apache-2.0
"""Sources of a board: no type-only blocks, constants in their places, short names."""

from deploy.firmware.application.board_source import (
    without_constants,
    without_type_blocks,
    without_variants,
)
from deploy.firmware.application.short_names import ShortNames


def test_type_blocks_are_not_compiled() -> None:
    source = b'"""x"""\nTYPE_CHECKING = False\nif TYPE_CHECKING:\n    from a import b\n\nX = 1\n'
    assert without_type_blocks(source) == b'"""x"""\n\n\n\n\nX = 1\n'
    used = source + b"Y = TYPE_CHECKING\n"
    assert without_type_blocks(used) == used


def test_constants_stand_in_their_places() -> None:
    source = b"""from protocols.time_units import MILLISECOND, SECOND, to_us
_WAIT = (
    3 * SECOND
)
_SHIFT, OTHER = -1, 2
_IDLE, _SENT = 0, 1
_LOW: int = -(1 << 4)
_KINDS = ("a", b"b", _LOW)
_RATE = 1 / 20
def wait(OTHER): return _WAIT + _LOW, _KINDS, MILLISECOND, SECOND.real
TABLE = ((_IDLE, _SENT),)
NOT_READ_BY_OTHERS = 4
PROVIDES = 5
"""
    assert (
        without_constants(source)
        == b"""from protocols.time_units import to_us



_SHIFT, OTHER = -1, 2



_RATE = 1 / 20
def wait(OTHER): return 3000000 + (-16), ('a', b'b', -16), 1000, (1000000).real
TABLE = ((0, 1),)

PROVIDES = 5
"""
    )


def test_a_constant_of_a_module_stands_at_its_use() -> None:
    source = (
        b"from protocols.modbus import pdu\ndef f(x): return pdu.READ_HOLDING, x.READ_HOLDING\n"
    )
    assert b"return 3, x.READ_HOLDING" in without_constants(source)
    bound = source + b"pdu = None\n"
    assert without_constants(bound) == bound


def test_a_constant_that_is_bound_twice_stays() -> None:
    source = b"_A = 1\ndef f(_A): return _A\n_B = 2\n_B = 3\n_C = _B\n"
    assert without_constants(source) == source


BASE = b"""class Base:
    def __init__(self, first_value):
        self._count, self._shared = first_value, 0
    def _private(self): return self._count
"""


DERIVED = b"""from a.base import Base
class Derived(Base):
    __slots__ = (
        "_extra",
    )
    def use(self, named, amount, len):
        self._extra = self._shared + named + len + amount
        return getattr(self, "_by_text")
    def other(self, type):
        self._by_text = self.use(1, named=type, amount=type("x"))
"""


def test_short_names_of_a_module_follow_those_of_its_base_class() -> None:
    names = ShortNames({"a.base": BASE, "a.derived": DERIVED})
    assert (
        names.shorten("a.base", BASE)
        == b"""class Base:
    def __init__(self, _2):
        self._0, self._shared = _2, 0
    def _1(self): return self._0
"""
    )
    assert (
        names.shorten("a.derived", DERIVED)
        == b"""from a.base import Base
class Derived(Base):
    pass


    def use(self, named, amount, len):
        self._3 = self._shared + named + len + amount
        return getattr(self, "_by_text")
    def other(self, type):
        self._by_text = self.use(1, named=type, amount=type("x"))
"""
    )


def test_a_name_that_another_module_uses_stays() -> None:
    names = ShortNames({"a.base": BASE, "a.test": b"def see(base): return base._count\n"})
    assert b"self._count" in names.shorten("a.base", BASE)
    assert names.shorten("a.unknown", BASE) == BASE


def test_an_import_is_no_parameter() -> None:
    source = b"from a.span import join\ndef f(span): return join(span)\n"
    assert ShortNames({"a.use": source}).shorten("a.use", source) == source


def test_a_private_name_of_two_modules_is_short_in_both() -> None:
    source = b"def _check(value): return value\ndef load(raw): return _check(raw)\n"
    names = ShortNames({"a.one": source, "a.two": b"class A: pass\n" + source})
    assert names.shorten("a.one", source).startswith(b"def _0(")
    assert b"return _0(" in names.shorten("a.two", source)


def test_a_private_name_that_a_test_sets_stays() -> None:
    setting = b"def test_x(base): base._count = 2\n"
    names = ShortNames({"a.base": BASE, "tests.portable.x": setting})
    assert b"self._count" in names.shorten("a.base", BASE)


def test_a_constant_that_no_other_module_names_is_short() -> None:
    source = b"ALARM = f(1)\ndef g(): return ALARM\n"
    names = ShortNames({"a.one": source, "a.schema": source.replace(b"ALARM", b"COOLING")})
    assert names.shorten("a.one", source).startswith(b"_0 = f(1)")
    assert names.shorten("a.schema", b"COOLING = f(1)\n") == b"COOLING = f(1)\n"
    names = ShortNames({"a.one": source, "a.two": b"from a.one import ALARM\n"})
    assert names.shorten("a.one", source).startswith(b"ALARM = ")


def test_a_private_method_that_a_class_of_another_module_overrides_stays() -> None:
    override = b"from a.base import Base\nclass B(Base):\n    def _private(self): return 2\n"
    further = b"from a.middle import B\nclass C(B):\n    def _private(self): return 3\n"
    sources = {"a.base": BASE, "a.middle": override, "a.top": further}
    for name, source in sources.items():
        assert b"def _private(self)" in ShortNames(sources).shorten(name, source)
    distant = {"a.base": BASE, "a.middle": override.replace(b"_private", b"_x"), "a.top": further}
    assert b"def _private(self)" in ShortNames(distant).shorten("a.base", BASE)


def test_private_classes_of_modules_that_only_load_are_short() -> None:
    source = b"class _Check: pass\ndef load(): return _Check()\n"
    names = ShortNames({"agent.config.x": source})
    assert names.shorten("agent.config.x", source).startswith(b"class _0:")
    names = ShortNames({"agent.clock.x": source})
    assert names.shorten("agent.clock.x", source) == source


def test_a_board_has_no_function_that_only_cpython_selects() -> None:
    source = b'def a():\n    pass\ndef b():\n    pass\nx = a if hasattr("", "isascii") else b\n'
    assert without_variants(source) == b"\n\ndef b():\n    pass\nx = b\n"
    for other in (b'"isalpha"', b'"isascii", 1'):
        kept = source.replace(b'"isascii"', other)
        assert without_variants(kept) == kept
    plain = b"def a():\n    pass\n"
    assert without_variants(plain) == plain
