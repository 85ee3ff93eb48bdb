# SPDX-License-Identifier: Apache-2.0
"""Sources of points whose device has not given a value yet, or gives none any more."""

from agent.northbound.point_sources import aged_source, bit_source, component_values, running_source


class Unread:
    """Session, profile and device of one input bit. `word`: its register; None: not read yet."""

    lost = False
    answered_at = 2_000

    def __init__(self, word):
        self.word = word
        self.device = self.profile = self
        self.bits = ["wet"]

    def bit_index(self, name):
        return self.bits.index(name)

    def register_value(self, bit):
        return self.word

    def is_bit_on(self, name):
        return self.word is not None and self.word != 0


def test_an_input_bit_that_was_not_read_is_not_off():
    assert bit_source(Unread(None), "wet")(5_000) == (None, "bad", None)
    assert bit_source(Unread(0), "wet")(5_000) == (0, "good", 3)
    assert bit_source(Unread(1), "wet")(5_000) == (1, "good", 3)


def test_an_input_bit_of_a_lost_device_is_not_known():
    session = Unread(1)
    session.lost = True
    assert bit_source(session, "wet")(5_000) == (None, "bad", 3)


class Drive:
    """Session, device and last reading of a drive whose speed was read at 2 ms."""

    read_at = 2_000

    def __init__(self, speed):
        self.device = self
        self.readings = [self]
        self.reported = speed

    def point_index(self, name):
        return ["speed"].index(name)

    def speed(self):
        return self.reported


def test_a_speed_that_is_no_longer_read_is_not_known():
    for reported, runs in ((50.0, 1), (0.5, 0)):
        drive = Drive(reported)
        speed = aged_source(drive.speed, drive, "speed", 10_000)
        assert speed(5_000) == (int(reported * 1000), "good", 3)
        assert speed(13_000) == (None, "bad", 11)
        assert running_source(speed)(5_000) == (runs, "good", 3)
        assert running_source(speed)(13_000) == (None, "bad", 11)
    lost = Drive(None)
    assert aged_source(lost.speed, lost, "speed", 10_000)(5_000) == (None, "bad", None)


class Throttle:
    """Agent, clock, component and measurement of loads with 90 kW. `measured`: all report it."""

    POINTS = (
        ("throttle.LoadWatts",),
        ("throttle.HeatWatts",),
        ("throttle.HeadroomWatts",),
        ("throttle.LimitWatts",),
    )

    def __init__(self, measured, load_w=90_000):
        self.measured, self.load_w = measured, load_w
        self.clock = self.measurement = self
        self.components = [self]

    def values(self, now):
        return [self.load_w, None, 0, 100_000]

    def is_load_measured(self, now):
        return self.measured

    def bound_us(self, now):
        return None


def test_a_power_with_limits_of_loads_in_it_is_uncertain():
    for measured, quality in ((True, "good"), (False, "uncertain")):
        found = dict(component_values(Throttle(measured), 0, 0))
        assert found["it_power"] == (90_000, quality, None)
        assert found["load_limit"] == (100_000, "good", None)
        assert found["headroom"] == (0, "good", None)
        assert found["heat"] == (None, "bad", None)
    assert dict(component_values(Throttle(True, None), 0, 0))["it_power"] == (None, "bad", None)
