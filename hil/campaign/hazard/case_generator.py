# SPDX-License-Identifier: Apache-2.0
"""Draws the scenario of one seed: two or three faults, gap, load, site, an event between.

Does not judge; see `hil.campaign.hazard.invariants`. The words are drawn first, then their values.
So each pair of words is equally probable. After 120 s without a fault the first fault starts. A
quarter of the runs end their faults, and last 300 s longer.

`CaseOptions.is_varied` draws the row too, from a stream of its own: the size of its valve,
set-point, facility water and room, the load and a step of it (a further fault), and more often a
restart. What holds for one row need not hold for another one.
"""

import random
from dataclasses import dataclass, replace
from typing import Any

from hil.bench.testbed_settings import TestbedSettings
from hil.campaign.hazard.injected_faults import InjectedFault, faults_by_word
from hil.campaign.words import DRAWN
from hil.fault.registry import EVENTS
from hil.scenario.model import Scenario, ScenarioEvent

FAULT_FREE_S, FAULTY_S, RECOVERY_S = 120, 300, 310
GAPS_S = (0, 3, 20, 60)
LOADS_KW = (30.0, 60.0, 90.0)
SITES = {
    "warm": TestbedSettings(),
    "cold": TestbedSettings(setpoint_c=20.0, fws_c=10.0, outdoor_c=6.0, room_humidity_pct=60.0),
}
RESTART_WORD = "board_restart"
OPERATOR_COMMANDS = (
    "rotate_pumps",
    "hold_flow",
    "hold_dp",
    "prove_valve",
    "prove_pumps",
    "reset_causes",
    "push_setpoint",
)
_SECTIONS = "cooling, safety, throttle, remote, log, retain"
_INTERMEDIATE_PROBABILITY = 0.1
_CLEARED_PROBABILITY = 0.25
_RESTART_FAULTS = {"power_cut", RESTART_WORD}
_VALVE_SIZES = (0.7, 1.0, 1.0, 2.0, 2.5)
"""Up to the oversize of the acceptance table, with 2.5 times the size."""
_VARIED_LOADS_KW = (8.0, 15.0, 30.0, 60.0, 90.0)
_VARIED_SITES: dict[str, dict[str, tuple[float, ...]]] = {
    "warm": {"fws_c": (18.0, 22.0, 24.0), "room_humidity_pct": (45.0, 60.0)},
    "cold": {
        "fws_c": (6.0, 10.0, 14.0),
        "room_humidity_pct": (45.0, 60.0, 70.0),
        "setpoint_c": (18.0, 20.0, 24.0, 28.0),
    },
}
_STEP_PROBABILITY, _VARIED_RESTART_PROBABILITY = 0.6, 0.3
_STEP_KW = (5.0, 15.0, 30.0, 60.0, 90.0, 100.0)
_STEP_S = (100, 220)


@dataclass(frozen=True)
class HazardCase:
    """A drawn run: its faults, the scenario, and the time at which the faults end (or None)."""

    seed: int
    faults: tuple[InjectedFault, ...]
    site: str
    scenario: Scenario
    end_s: float | None
    restart_s: float | None


@dataclass(frozen=True)
class CaseOptions:
    """Fixed values of the options `--load` and `--site`; None: drawn. `is_varied`: draw the row."""

    load_kw: float | None = None
    site: str | None = None
    words: tuple[str, ...] = ()
    is_varied: bool = False


def generate_case(seed: int, count: int, options: CaseOptions) -> HazardCase:
    """Draw the case of a seed with `count` faults."""
    rng = random.Random(f"hazard/{seed}/{count}")
    faults = _draw_faults(rng, count, options.words)
    load_kw = rng.choice(LOADS_KW)
    site = rng.choice(sorted(SITES))
    gap_s = rng.choice(GAPS_S)
    is_cleared = rng.random() < _CLEARED_PROBABILITY
    intermediate = _draw_intermediate(rng, faults)
    load_kw = load_kw if options.load_kw is None else options.load_kw
    site = site if options.site is None else options.site
    last_s = FAULT_FREE_S + gap_s * (count - 1)
    end_s = last_s + 60.0 if is_cleared else None
    events = [_make_event(fault, FAULT_FREE_S + gap_s * i, end_s) for i, fault in enumerate(faults)]
    restart_s = None
    if intermediate is not None:
        at_s = FAULT_FREE_S + rng.randint(0, max(1, gap_s * (count - 1))) + 0.5
        events.append(ScenarioEvent(at_s, intermediate.word, intermediate.value))
        restart_s = at_s if intermediate.word == RESTART_WORD else None
    seconds = FAULT_FREE_S + FAULTY_S if end_s is None else int(end_s) + RECOVERY_S
    scenario = Scenario(
        f"hazard-{seed}",
        f"{' and '.join(fault.text() for fault in faults)}, {load_kw:g} kW, {site} site",
        seconds,
        _make_settings(faults, load_kw, site),
        tuple(sorted(events, key=lambda event: event.at_s)),
    )
    case = HazardCase(seed, faults, site, scenario, end_s, restart_s)
    return _vary_row(case, options) if options.is_varied else case


def _draw_faults(
    rng: random.Random, count: int, words: tuple[str, ...]
) -> tuple[InjectedFault, ...]:
    groups = faults_by_word()
    while True:
        drawn = [*words, *rng.sample(sorted(set(groups) - set(words)), count)][:count]
        if len(_RESTART_FAULTS & set(drawn)) < 2:
            return tuple(rng.choice(groups[word]) for word in drawn)


def _draw_intermediate(
    rng: random.Random, faults: tuple[InjectedFault, ...]
) -> InjectedFault | None:
    """Draw a restart or an order between the faults, or nothing."""
    if rng.random() >= _INTERMEDIATE_PROBABILITY:
        return None
    word = RESTART_WORD if rng.random() < 0.5 else rng.choice(OPERATOR_COMMANDS)
    if word == RESTART_WORD and _RESTART_FAULTS & {fault.word for fault in faults}:
        return None
    return rng.choice(faults_by_word()[word][:3])


def _vary_row(case: HazardCase, options: CaseOptions) -> HazardCase:
    """Draw the row of a case, a step of its load, and a restart if it has none."""
    rng = random.Random(f"hazard/row/{case.seed}")
    load_kw = rng.choice(_VARIED_LOADS_KW) if options.load_kw is None else options.load_kw
    site: dict[str, Any] = {
        name: rng.choice(values) for name, values in _VARIED_SITES[case.site].items()
    }
    size = rng.choice(_VALVE_SIZES)
    events, restart_s, faults = list(case.scenario.events), case.restart_s, case.faults
    step = InjectedFault("it_load", rng.choice(_STEP_KW))
    if rng.random() < _STEP_PROBABILITY and step.word not in {fault.word for fault in faults}:
        faults += (step,)
        events.append(ScenarioEvent(float(rng.randint(*_STEP_S)), step.word, step.value))
    is_restarted = bool(_RESTART_FAULTS & {event.do for event in events})
    if rng.random() < _VARIED_RESTART_PROBABILITY and not is_restarted:
        restart_s = rng.randint(*_STEP_S) + 0.5
        events.append(ScenarioEvent(restart_s, RESTART_WORD, None))
    shown = ", ".join(f"{name} {value:g}" for name, value in site.items())
    settings = replace(case.scenario.settings, it_kw=load_kw, valve_size=size, **site)
    scenario = replace(
        case.scenario,
        title=f"{case.scenario.title}, varied: {load_kw:g} kW, valve_size {size:g}, {shown}",
        settings=settings,
        events=tuple(sorted(events, key=lambda event: event.at_s)),
    )
    return replace(case, faults=faults, scenario=scenario, restart_s=restart_s)


def _make_event(fault: InjectedFault, at_s: float, end_s: float | None) -> ScenarioEvent:
    for_s = fault.for_s
    if end_s is not None and EVENTS[fault.word].undo is not None:
        for_s = min(end_s - at_s, for_s or end_s)
    return ScenarioEvent(float(at_s), fault.word, fault.value, for_s)


def _make_settings(faults: tuple[InjectedFault, ...], load_kw: float, site: str) -> TestbedSettings:
    """Make the row with all devices and sections that the faults need."""
    rules = [rule for rule in DRAWN if rule.fault in {fault.word for fault in faults}]
    sections = _SECTIONS.split(", ")
    sections += sorted({name for rule in rules for name in rule.components} - set(sections))
    needs_dialect = any(EVENTS[fault.word].needs_dialect for fault in faults)
    return replace(
        SITES[site],
        it_kw=load_kw,
        meters=2,
        humidity_sensors=2,
        proof_store=1,
        limits_store=1,
        fans=max((rule.fans for rule in rules), default=0),
        receiver_dialect="casic" if needs_dialect else "",
        parts=", ".join(sections),
    )
