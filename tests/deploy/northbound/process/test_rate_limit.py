# SPDX-License-Identifier: Apache-2.0
"""Budgets of clients: shares, totals that spare addresses that send little, measured work."""

import asyncio
import contextlib
import ssl
from collections import Counter
from pathlib import Path
from unittest.mock import Mock

import pytest
from microdot import Microdot

from deploy.northbound.bacnet import datagram_filter
from deploy.northbound.bacnet.datagram_filter import PERMITTED, RECIPIENTS
from deploy.northbound.http.certificate import CertificateStore
from deploy.northbound.http.connections import ConnectionGate, HttpConnection
from deploy.northbound.http.handshake import MeasuredTls
from deploy.northbound.http.limits import KNOWN_S, HttpLimits, HttpRateLimit
from deploy.northbound.modbus.server import ModbusConnection, ModbusLimits, ModbusTcpServer
from deploy.northbound.rate_limit import (
    OTHERS,
    ClientBudget,
    Quantity,
    ShareLimits,
    measured,
)
from tests.support.repository import ROOT

SHARES = datagram_filter.LIMITS


def test_the_guides_have_these_limits() -> None:
    """The tests below show them by the limits in force."""
    docs = ROOT / "docs" / "operator"
    bms = " ".join((docs / "northbound_bms.md").read_text(encoding="utf-8").split())
    requests, work = SHARES[OTHERS].requests, SHARES[OTHERS].work
    assert f"at most {requests.rate:g} datagrams a second, {work.rate / 1000:g} s of proc" in bms
    assert f"with a reserve of {work.burst / 1000:g} s" in bms
    assert f"have {requests.total:g} datagrams a second and {work.total / 1000:g} s;" in bms
    assert f"an address with at most {requests.spared:g} a second" in bms
    modbus = ModbusLimits()
    assert f"{modbus.requests_per_s:g} requests a second from one address and " in bms
    assert f"and {modbus.total_per_s:g} from all" in bms
    assert f"the last {modbus.kept} places" in bms
    site = " ".join((docs / "northbound.md").read_text(encoding="utf-8").split())
    http = HttpLimits()
    assert f"{http.address_rate:g} requests a second from one address and " in site
    assert f"and {http.total_rate:g} from all, and {http.other_work_ms / 1000:g} s" in site
    assert f"at most {http.spared_rate:g} a second is served before others" in site


def share_of(address: str) -> str:
    return {"7": PERMITTED, "9": RECIPIENTS}.get(address.split(".", maxsplit=1)[0], OTHERS)


def run(
    budget: ClientBudget, rates: dict[str, float], seconds: int, work_ms: float = 0.1
) -> Counter[str]:
    """Send requests of addresses at their rates; return how many each one was permitted."""
    permitted: Counter[str] = Counter()
    due = dict.fromkeys(rates, 0.0)
    for step in range(seconds * 1000):
        now = 100 + step / 1000
        for address, rate in rates.items():
            due[address] += rate / 1000
            while due[address] >= 1:
                due[address] -= 1
                if budget.take(address, now):
                    budget.spend(address, now, work_ms)
                    permitted[address] += 1
    return permitted


def test_an_address_gets_its_rate_and_no_more() -> None:
    """As in the guide: 200 datagrams a second, with a reserve of one second."""
    for address in ("1.0", "7.0", "9.0"):
        assert run(ClientBudget(SHARES, share_of), {address: 190}, 10)[address] >= 1899
        most = run(ClientBudget(SHARES, share_of), {address: 1000}, 10)[address]
        assert 2100 <= most <= 2210


@pytest.mark.parametrize("rate", [90, 120, 150, 190])
def test_work_is_what_was_measured(rate: int) -> None:
    """0.3 ms each: 190 a second are 57 ms of the 100 ms."""
    found = run(ClientBudget(SHARES, share_of), {"7.0": rate}, 60, 0.3)
    assert found["7.0"] >= 60 * rate - 1


def test_an_address_above_its_share_of_the_processor_is_refused() -> None:
    """100 ms in each second and a reserve of 2 s, as in the guide."""
    found = run(ClientBudget(SHARES, share_of), {"7.0": 100, "7.1": 1}, 60, 10)
    assert 60 * 10 + 190 <= found["7.0"] <= 60 * 10 + 210
    assert found["7.1"] >= 59


@pytest.mark.parametrize(("senders", "rate"), [(3, 190), (8, 190), (8, 1000), (20, 500)])
def test_addresses_that_send_much_stop_none_that_sends_little(senders: int, rate: int) -> None:
    rates = {f"1.{number}": float(rate) for number in range(senders)}
    found = run(ClientBudget(SHARES, share_of), {**rates, "2.0": 10, "7.0": 100, "9.0": 20}, 20)
    assert found["2.0"] >= 199
    assert found["7.0"] >= 1999
    assert found["9.0"] >= 399
    assert sum(found[address] for address in rates) <= 20 * 500 + 500


def test_many_addresses_use_up_no_other_share() -> None:
    """Forged ones, each only once; also their work."""
    budget = ClientBudget(SHARES, share_of)
    refused = 0
    for number in range(20_000):
        now = 100 + number / 4000
        address = f"1.{number}"
        if budget.take(address, now):
            budget.spend(address, now, 1)
        else:
            refused += 1
        if number % 40 == 0:
            for known in ("7.1", "9.1"):
                assert budget.take(known, now)
                budget.spend(known, now, 0.3)
    assert refused > 15_000
    assert budget.addresses() <= 3 * 1024


def test_an_address_with_little_work_is_spared() -> None:
    """Few requests that cost much use up the total of the work, not the rest of others."""
    rates = {f"1.{number}": 15.0 for number in range(4)}
    budget = ClientBudget(SHARES, share_of)
    run(budget, rates, 60, 20)
    permitted = 0
    for number in range(100):
        now = 160 + number / 10
        for address in rates:
            if budget.take(address, now):
                budget.spend(address, now, 20)
        if budget.take("2.0", now):
            budget.spend("2.0", now, 0.3)
            permitted += 1
    assert permitted >= 99


def test_only_own_steps_are_measured() -> None:
    ticks = [0.0]

    async def work() -> str:
        ticks[0] += 1
        await asyncio.sleep(0.01)
        ticks[0] += 2
        try:
            await asyncio.wait_for(asyncio.sleep(60), 0.01)
        except TimeoutError:
            ticks[0] += 4
        return "done"

    async def other() -> None:
        for _ in range(20):
            ticks[0] += 100
            await asyncio.sleep(0.001)

    async def main() -> None:
        used: list[float] = []
        task = asyncio.create_task(other())
        assert await measured(work(), lambda: ticks[0], used.append) == "done"
        await task
        assert sum(used) == 7
        stopped = asyncio.create_task(work())
        outer = asyncio.ensure_future(measured_task(stopped))
        await asyncio.sleep(0)
        outer.cancel()
        with pytest.raises(asyncio.CancelledError):
            await outer

    async def measured_task(task: asyncio.Task[str]) -> None:
        async def wait() -> None:
            await task

        await measured(wait(), lambda: 0.0, lambda _used: None)

    asyncio.run(main())


def test_a_known_address_has_a_share_of_its_own() -> None:
    """Three anonymous addresses with 83 requests a second each, as small as they are."""
    limiter = HttpRateLimit(HttpLimits())
    limiter.prove("10.0.0.9", 100.0)
    refused: Counter[str] = Counter()
    for step in range(60_000):
        now = 100 + step / 1000
        for sender in range(8):
            if step % 12 == sender:
                refused[f"{sender}"] += not limiter.permit(f"10.1.0.{sender}", now)
        if step % 300 == 0:
            refused["little"] += not limiter.permit("10.0.0.8", now)
        if step % 20 == 0:
            refused["known"] += not limiter.permit("10.0.0.9", now)
    assert sum(refused.values()) > 20_000
    assert (refused["little"], refused["known"]) == (0, 0)
    assert limiter.is_known("10.0.0.9", 100 + KNOWN_S - 1)
    assert not limiter.is_known("10.0.0.9", 100 + KNOWN_S + 1)


def test_the_table_of_known_addresses_is_bounded() -> None:
    limiter = HttpRateLimit(HttpLimits())
    for number in range(5000):
        limiter.prove(f"10.0.{number // 256}.{number % 256}", 1.0)
    assert sum(limiter.is_known(f"10.0.{n // 256}.{n % 256}", 2.0) for n in range(5000)) == 256


def test_a_share_without_a_limit_of_work() -> None:
    budget = ClientBudget({OTHERS: ShareLimits(Quantity(1, 2, 10, 10, 1))})
    assert [budget.take("a", 1.0) for _ in range(3)] == [True, True, False]
    budget.spend("a", 1.0, 1e9)
    assert budget.take("a", 2.0)


@pytest.mark.parametrize("victim", ["10.0.0.9", "2001:db8:0:2::9", "fe80::9"])
def test_a_host_with_all_addresses_of_its_network_stops_no_other(victim: str) -> None:
    limiter, now, served = HttpRateLimit(HttpLimits()), 0.0, 0
    for number in range(15_000):
        now += 0.004
        address = f"2001:db8:0:1::{number:x}"
        if limiter.permit_connection(address, now) and limiter.permit(address, now):
            limiter.spend(address, now, 500, 2.0)
        if number % 250 == 0:
            served += limiter.permit_connection(victim, now) and limiter.permit(victim, now)
    assert served == 60


def test_an_address_that_sends_much_takes_nothing_from_its_neighbours() -> None:
    rates = {"2001:db8::1": 190.0, "2001:db8::2": 1000.0, "2001:db8::3": 10.0}
    found = run(ClientBudget(SHARES), {**rates, "3.0": 190, "3.1": 1000, "3.2": 1000}, 20)
    assert found["2001:db8::3"] >= 199


def test_connections_of_one_network_give_way_first() -> None:
    """A host with an address for each connection: HTTP and Modbus close one of its own."""

    async def fill() -> None:
        gate = ConnectionGate(Microdot(), None, HttpLimits())
        modbus = ModbusTcpServer(Mock(), ModbusLimits())
        for address in ("10.0.0.9", *(f"2001:db8::{number:x}" for number in range(15))):
            entry = HttpConnection(Mock(), address)
            entry.task = Mock()
            gate._open[entry] = None
            modbus._open[Mock()] = ModbusConnection(address, -100.0, requests=1)
        assert gate._evict(list(gate._open))
        assert "10.0.0.9" in [entry.address for entry in gate._open]
        assert modbus._make_room("2001:db8:1::77")
        assert "10.0.0.9" in [entry.address for entry in modbus._open.values()]
        for connection in modbus._open.values():
            connection.since = asyncio.get_running_loop().time()  # none is idle
        assert not modbus._make_room("2001:db8::77")
        assert modbus._make_room("10.0.0.9")

    asyncio.run(fill())


@pytest.mark.parametrize("handshake_ms", [0.5, 2.0])
def test_handshakes_are_work(handshake_ms: float) -> None:
    """Of one address: half of the processor of the servers at most, after the reserve of 20 s."""
    limiter, now, opened = HttpRateLimit(HttpLimits()), 0.0, 0
    for _ in range(200):
        limiter.note_handshake(handshake_ms)
    limiter.prove("10.0.0.1", now)
    for number in range(6000):
        now += 0.01
        opened += limiter.permit_connection("10.0.0.66", now)
        if number % 20 == 0:
            assert limiter.permit_connection("10.0.0.1", now)
            assert number % 100 or limiter.permit_connection("10.0.0.9", now)
    assert opened <= (2000 + 60 * 100) / (3 * handshake_ms) + 1


def test_the_work_of_a_handshake_is_measured(tmp_path: Path) -> None:
    context = CertificateStore(tmp_path / "tls", "cdu", ["127.0.0.1"], None).context
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    server, client = context.wrap_bio(up, down, True), trusting.wrap_bio(down, up)
    for side in (client, server, client, server):
        with contextlib.suppress(ssl.SSLWantReadError):
            side.do_handshake()
    assert client.version() == "TLSv1.3"
    assert isinstance(server, MeasuredTls)
    assert 0 < server.work_s < 5
