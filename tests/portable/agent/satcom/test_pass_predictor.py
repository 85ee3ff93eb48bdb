# SPDX-License-Identifier: Apache-2.0
"""Predicted contact windows: searched in slices, corrected by the observed signal."""

from agent.satcom.pass_predictor import SEARCH_AHEAD_US, ConstellationModel, ContactPredictor
from protocols.orbit.look_angle import GroundSite
from protocols.time_units import SECOND
from tests.portable.support.check import eq

START = 1_795_500_000_000_000
POLAR = {
    "constellation": {
        "planes": 6,
        "per_plane": 11,
        "altitude_km": 780,
        "inclination_mdeg": 86_400,
        "spread_deg": 180,
        "phasing_half": 6,
        "node_mdeg": 20_000,
        "phase_mdeg": 5_000,
        "epoch_s": 1_795_478_400,
    }
}
DUBAI = (252_048_000, 552_708_000)


def _make_predictor(mask):
    return ContactPredictor(ConstellationModel(POLAR), GroundSite(DUBAI[0], DUBAI[1]), mask)


def test_windows_with_an_obstruction_mask():
    passes = _make_predictor([40])
    for _ in range(400):
        passes.step(START, 8)
    assert len(passes.windows) >= 4
    last = START
    for start, end, peak in passes.windows:
        assert last <= start < end
        assert peak >= 40
        assert end - start <= 400 * SECOND
        last = end
    start, end, _ = passes.windows[0]
    eq(passes.is_open(start + SECOND), True)
    eq(passes.is_open(end + SECOND), False)
    eq(passes.is_open(start - 20 * SECOND, 30 * SECOND), True)
    # the search agrees with the positions
    utc = start
    while utc < end:  # a range on a board has at most 31 bits
        assert passes.highest_satellite(utc)[0] >= 39
        utc += 60 * SECOND


def test_no_gaps_without_obstruction():
    passes = _make_predictor([8])
    for i in range(300):
        passes.step(START + i * SECOND, 8)
    assert all(passes.is_open(START + i * 15 * SECOND) for i in range(40))


def test_few_evaluations_are_needed():
    passes = _make_predictor([40])
    for _ in range(2_000):
        passes.step(START, 8)
    looked = (passes._search_time - START) // (15 * SECOND)
    assert passes.positions_computed < 8 * looked, (passes.positions_computed, looked)


def test_clock_step_restarts_the_search():
    passes = _make_predictor([40])
    passes.step(START, 200)
    passes.step(START + 3 * SEARCH_AHEAD_US, 8)
    assert passes._search_time >= START + 3 * SEARCH_AHEAD_US
    passes.step(START - 9 * SEARCH_AHEAD_US, 8)
    assert passes._search_time < START


def test_mask_is_corrected():
    passes = _make_predictor([40, 40, 40, 40])
    utc = START
    while passes.highest_satellite(utc)[0] < 30 or passes.highest_satellite(utc)[0] >= 40:
        utc += 30 * SECOND
    elevation, azimuth = passes.highest_satellite(utc)
    passes.correct_mask(utc, True)
    assert passes.horizon_deg(azimuth) <= elevation
    for _ in range(60):
        passes.correct_mask(utc, False)
    assert passes.horizon_deg(azimuth) > elevation
    eq(passes.mask_offsets.count(0), 3)


def test_windows_from_element_sets():
    lines = [
        "1 06251U 62025E   06176.82412014  .00008885  00000-0  12808-3 0  3985",
        "2 06251  58.0579  54.0425 0030035 139.1568 221.1854 15.56387291  6774",
    ]
    passes = ContactPredictor(
        ConstellationModel({"elements": lines}), GroundSite(DUBAI[0], DUBAI[1]), [10]
    )
    utc = 1_151_300_000_000_000
    for _ in range(3_000):
        passes.step(utc, 8)
    assert passes.windows
    for start, end, peak in passes.windows:
        assert peak >= 10
        assert end - start < 900 * SECOND
