"""`coldloop hil year`: short pieces of years, each policy, the record, the plot, and wrong use."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from hil.annual import words
from hil.annual.energy_account import KEYS, Ledger
from hil.annual.optimum import optimum_year
from hil.annual.plot import page
from hil.annual.policy import make
from hil.annual.power_cap import Shed
from hil.annual.run import Year
from hil.annual.site import Site
from hil.annual.steady_search import Search
from hil.errors import BenchError
from hil.plant.air.cooler import KINDS
from hil.plant.air.synthetic_climate import CLIMATES
from hil.plant.air.weather import find
from tests.support.cli_tools import coldloop

DATA = Path(os.environ.get("COLDLOOP_DATA", Path(__file__).parents[4] / "shared" / "data"))
SUMMER = 4800


def site(weather: str = "dubai", kind: str = "adiabatic", it_kw: float = 1000.0) -> Site:
    return Site(find(weather), kind, it_kw)


def piece(policy: str, kind: str = "adiabatic", hours: int = 12, start: int = SUMMER) -> Ledger:
    where = site(kind=kind)
    year = Year(where, make(policy, where))
    ledger = year.run(hours, start)
    year.assert_balances()
    return ledger


def test_the_words_are_those_of_the_plant() -> None:
    assert set(words.KINDS) == set(KINDS)
    assert set(words.CLIMATES) == set(CLIMATES)


@pytest.mark.parametrize(
    "policy", ["coldloop", "optimum", "fixed:40", "phosphor", "pi", "track:22"]
)
def test_the_command_gives_every_key(policy: str, tmp_path: Path) -> None:
    drawn = tmp_path / "x.html"
    done = coldloop(
        *("hil", "year", "--weather", "dubai", "--rejection", "adiabatic", "--policy", policy),
        *("--hours", "3", "--start", str(SUMMER + 10), "--json", "--plot", str(drawn)),
    )
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    assert tuple(record) == KEYS
    assert record["policy"] == policy
    assert 2.0 < record["it_mwh"] <= 3.0
    assert record["pue"] == pytest.approx(1.0 + sum(record["pue_parts"].values()), abs=2e-4)
    html = drawn.read_text(encoding="utf-8")
    assert "<svg" in html
    assert "http" not in html.replace("http-equiv", "")


def test_people_get_lines() -> None:
    done = coldloop("hil", "year", "--weather", "cape-town", "--hours", "1")
    assert done.returncode == 0, done.stderr
    assert "of IT" in done.stdout
    assert "PUE" in done.stdout


@pytest.mark.parametrize(
    ("options", "what"),
    [
        (("--weather", "atlantis"), "no such climate"),
        (("--weather", "dubai", "--policy", "magic"), "no such policy"),
        (("--weather", "dubai", "--policy", "fixed:99"), "15 to 45"),
        (("--weather", "dubai", "--it-kw", "3"), "--it-kw"),
        (("--weather", "dubai", "--hours", "0"), "--hours"),
        (("--weather", "dubai", "--plot", "/nowhere/x.html", "--hours", "1"), "--plot"),
    ],
)
def test_wrong_use_is_one_line(options: tuple[str, ...], what: str) -> None:
    done = coldloop("hil", "year", *options)
    assert done.returncode == 2
    assert what in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_agent_costs_little_more_than_the_search_and_less_than_fixed_points() -> None:
    where = site()
    best = optimum_year(where, 24, SUMMER).loop_j
    agent = piece("coldloop", hours=24).loop_j
    assert best <= agent <= 1.3 * best
    assert agent < 0.5 * piece("fixed:40", hours=6).loop_j * 4


def test_a_colder_set_point_costs_more() -> None:
    assert piece("fixed:30", hours=4).loop_j > 1.5 * piece("fixed:40", hours=4).loop_j


def test_the_same_seed_is_the_same_year() -> None:
    one, two = piece("coldloop", hours=4), piece("coldloop", hours=4)
    assert one.loop_j == two.loop_j
    assert one.reversals == two.reversals


def test_one_day_in_seven_is_a_quick_look() -> None:
    where = site()
    year = Year(where, make("fixed:40", where))
    ledger = year.run(9 * 24, SUMMER, every=7)
    assert ledger.seconds == 2 * 24 * 3600
    assert len(ledger.days) == 2
    assert optimum_year(where, 9 * 24, SUMMER, every=7).seconds == ledger.seconds


def test_coarse_steps_change_little() -> None:
    where = site()
    fine = Year(where, make("coldloop", where), coarse_s=1).run(6, SUMMER)
    assert piece("coldloop", hours=6).loop_j == pytest.approx(fine.loop_j, rel=0.02)


def test_a_plant_of_any_size_costs_the_same_share() -> None:
    small = Site(find("dubai"), "adiabatic", 200.0)
    ledger = Year(small, make("coldloop", small)).run(6, SUMMER)
    assert ledger.loop_j / ledger.it_j == pytest.approx(
        piece("coldloop", hours=6).loop_j / (6 * 3.6e9), rel=0.05
    )


@pytest.mark.parametrize("faults", words.FAULTS)
def test_supply_stays_above_the_dew_point_whatever_the_sensors(faults: str) -> None:
    """The most humid days, with a set-point that would be too low: only the floor holds it."""
    where = site()
    year = Year(where, make("track:22", where), faults)
    year.senses._dead_from_s = 0
    humid = max(range(8760 - 24), key=lambda h: where.weather.hours[h].dew_c)
    ledger = year.run(10, humid - 5)
    assert ledger.below_s == 0.0
    assert ledger.least_margin_k < 8.0  # the floor was at work, not the set-point


def test_nothing_is_shed_while_something_is_left() -> None:
    assert piece("coldloop", hours=8).shed_s == 0.0
    shed = Shed(1000.0, 75.0, 45.0)
    assert shed.step(70.0, 40.0, 1.0) is None
    assert shed.boost == 0.0
    for _ in range(200):
        limit = shed.step(77.0, 44.0, 1.0)
    assert shed.boost == 1.0
    assert shed.flow > 0.0
    assert limit is not None
    assert limit < 1000.0
    for _ in range(2000):
        limit = shed.step(70.0, 40.0, 1.0)
    assert limit is None
    assert shed.boost == 0.0


def test_what_shedding_has_opened_is_handed_back_without_swings() -> None:
    """The hottest day: 3700 % of travel when the laws knew nothing of what was done to them."""
    site = Site(find("dubai"), "dry", 1000.0)
    ledger = Year(site, make("coldloop", site)).run(24, 6080)
    assert ledger.shed_s > 10 * 3600
    assert ledger.travel_pct < 1500
    assert ledger.worst_c < 75.5


def test_the_least_that_must_be_shed_is_found() -> None:
    where = site("dubai", "dry")
    search = Search(where)
    hot = next(h for h in where.weather.hours if 40.0 < h.dry_c < 41.0)
    best = search.hour(hot)
    assert 0.5 < best.share < 1.0
    assert search.hour(where.weather.hours[0]).share == 1.0


def test_no_neighbour_of_the_cheapest_point_is_cheaper() -> None:
    search = Search(site())
    hour = search.site.weather.hours[SUMMER]
    best = search.hour(hour)
    air, wet = hour.air(), True
    for dp in (-2.0, 0.0, 2.0):
        for dv in (-3.0, 0.0, 3.0):
            pair = search._pair(1.0, min(best.pair.pump_pct + dp, 100.0), best.pair.valve_pct + dv)
            assert pair is not None
            fan = search._fan(pair, air, wet)
            if fan is not None and pair.pump_pct >= 59.0:
                assert pair.watts + 30_000.0 * fan**3 >= 0.98 * best.watts


def test_a_balance_that_does_not_close_is_an_error() -> None:
    where = site()
    year = Year(where, make("fixed:40", where))
    year.run(1, SUMMER)
    year.plant._in_j *= 1.01
    with pytest.raises(BenchError, match="do not close"):
        year.assert_balances()


def test_a_plot_of_less_than_a_day_says_so() -> None:
    ledger = piece("fixed:40", hours=1, start=0)
    assert "Less than a day" in page(ledger.record("fixed:40", 1.0), ledger, "somewhere")


def test_an_epw_file_is_run() -> None:
    path = DATA / "weather" / "johannesburg_tmyx.epw"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    where = Site(find(str(path)), "dry")
    ledger = optimum_year(where, 8760)
    record = ledger.record("optimum", 1.0)
    assert record["loop_pct_of_it"] < 0.6
    assert record["pue"] < 1.15


@pytest.mark.soak
@pytest.mark.parametrize("faults", words.FAULTS)
def test_a_humid_month_stays_above_the_dew_point(faults: str) -> None:
    where = site()
    ledger = Year(where, make("coldloop", where), faults).run(31 * 24, 212 * 24)
    assert ledger.below_s == 0.0
