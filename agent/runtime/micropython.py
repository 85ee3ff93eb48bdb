# SPDX-License-Identifier: Apache-2.0
"""Runtime on MicroPython, for the unix port and boards; see `run`.

Does not contain the I/O loop; see `agent.runtime.io_loop`.

The wait uses select.poll, whose timeout is in integer ms; the rest is slept in µs. The time is
ticks_us, which wraps (after 18 minutes on a 32-bit board); `MonotonicCounter` extends it. On the
unix port SIGTERM and SIGINT stop the agent in an orderly way, as on CPython.
"""

import gc
import json
import os
import select
import sys
import time

from agent.core.errors import ConfigError, DecommissionedError
from agent.port_numbers import CONSOLE
from agent.runtime.board import garbage_gap
from agent.runtime.board.board_watch import BoardWatch
from agent.runtime.board.flash_gap import FlashGap
from agent.runtime.boot_loop import BootLoop
from agent.runtime.crash_limit import CrashLimit
from agent.runtime.io_loop import (
    GO,
    LEAVE_BOOT_LOOP,
    NO_MEMORY,
    RESTART,
    TICK_DUE,
    IoLoop,
)
from agent.runtime.monotonic import MonotonicCounter
from drivers import errors
from drivers.ports.address import parse_address
from drivers.ports.micropython import store as micropython_store
from drivers.ports.micropython import uart
from drivers.ports.micropython.board_data import with_defaults
from drivers.ports.micropython.ffi import open_signal_file, read_signal
from protocols.time_units import MILLISECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from agent.config.profile_files import ProfileFiles
    from agent.core.config_records import Config
    from agent.remote.storage.boot_state import BootState
    from agent.remote.storage.running_slot import RunningSlot
    from agent.runtime.loop_interfaces import AgentInterface
    from drivers.ports.address import Address
    from drivers.ports.base import Opener, Port, Wake
    from drivers.ports.micropython.slot_store import SlotFlash

RESTARTED = 4  # exit code
_SIGINT, _SIGTERM = 2, 15
_SIGNALS = -1  # the "port number" of the signals in the poller
_SCHEMA = "profile.schema.json"
_CHECKED = "checked"
"""A file beside the profiles of an application: the build has checked them."""
_POWER_ON = ("reset", "power on")
"""Note of a start after a power cut (deploy/firmware/supervisor); it does not count as a start."""
_THRESHOLD = 32768
"""Allocated bytes that start a garbage collection, at least. It is a part of the free memory: half
of it while code and configuration are loaded, seven eighths while the agent runs."""
_OPEN_US, _OVERDUE_US = 20_000, 200_000
"""Time to open a port, on a board. A tick that is later than the second one has stopped."""
MAX_SLEEP = 60_000_000  # us: far less than half a period of the shortest counter

# The only clock of the process. On the unix port it shows CLOCK_MONOTONIC.
monotonic = MonotonicCounter(time.ticks_us, time.ticks_diff).now  # type: ignore[attr-defined]


def _openers() -> "dict[str, Opener]":
    """Return the openers of this build: a board can lack termios or sockets."""
    openers: dict[str, Opener] = {
        "uart": uart.open_port,
        "store": micropython_store.open_port,
    }
    try:
        from drivers.ports.micropython import serial  # noqa: PLC0415 - needs termios

        openers["serial"] = serial.open_port
    except ImportError:
        pass
    try:
        from drivers.ports.micropython import tcp  # noqa: PLC0415 - needs socket

        for kind in ("tcp", "tls", "rtu+tcp", "ascii+tcp"):
            openers[kind] = tcp.open_port
        openers["udp"] = _open_datagrams
    except ImportError:
        pass

    def open_watchdog(address: "Address", wake: "Wake") -> "Port":
        from drivers.ports.micropython import watchdog  # noqa: PLC0415 - few have one

        return watchdog.open_port(address, wake)

    openers["watchdog"] = open_watchdog
    if hasattr(time, "ticks_us"):

        def open_pps(address: "Address", wake: "Wake") -> "Port":
            from drivers.ports.micropython import pps  # noqa: PLC0415 - few have pulses

            return pps.open_port(address, wake, monotonic)

        openers["pps"] = open_pps
    return openers


class MicroPoller:
    """Clock and wait of the platform; see `loop_interfaces.PollerInterface`."""

    def __init__(self, ticks: "Any" = None) -> None:
        """Create the set of watched ports. `ticks`: see `GarbageGap`."""
        self._poll = select.poll()
        self._ticks = ticks
        self._garbage = garbage_gap.GarbageGap(gc.collect, _free_bytes, ticks, _allocated())
        self._signals = open_signal_file((_SIGINT, _SIGTERM))
        self.signal = 0
        self._watched: list[tuple[int, object]] = []
        self._woken = False
        self.clock = monotonic
        if self._signals is not None:
            self.watch(_SIGNALS, self._signals.fileno(), False)

    def watch(self, number: int, pollable: object, write: bool) -> None:
        """Watch a descriptor or a UART under its port number."""
        events = select.POLLIN | (select.POLLOUT if write else 0)
        self._poll.register(pollable, events)  # type: ignore[arg-type]  # UARTs are objects
        self._watched.append((number, pollable))

    def unwatch(self, number: int) -> None:
        """Stop watching a port."""
        for entry in self._watched:
            if entry[0] == number:
                self._poll.unregister(entry[1])  # type: ignore[arg-type]
                self._watched.remove(entry)
                return

    def wait(self, deadline: int) -> "list[int]":
        """Return the ready ports; none if the deadline (µs) passed or `wake` was called."""
        now = self.clock()
        due = self._garbage.due(now, deadline)
        if due == garbage_gap.HOLD:
            hold = max(0, self._ticks.due - now)
            time.sleep_us(hold)  # type: ignore[attr-defined]
            self._garbage.waited(hold)
            return []
        if due:
            ready = [] if due == garbage_gap.NOW else self._poll.poll(0)
            if ready:
                self._woken = False
                return self._numbers([entry[0] for entry in ready])
            self._garbage.collect(self.clock)
            now = self.clock()
        remaining = 0 if self._woken else min(deadline - now, MAX_SLEEP)
        self._woken = False
        ready = self._poll.poll(max(remaining, 0) // MILLISECOND)
        if remaining >= garbage_gap.SHORT_US:
            self._garbage.waited(self.clock() - now)
        if not ready:
            rest = deadline - self.clock()
            if 0 < rest < MILLISECOND and remaining > 0:
                time.sleep_us(rest)  # type: ignore[attr-defined]
                ready = self._poll.poll(0)
        return self._numbers([entry[0] for entry in ready])

    def _numbers(self, ready: "list[object]") -> "list[int]":
        """Return the port numbers of the result of poll; store a signal."""
        numbers = [number for number, pollable in self._watched if pollable in ready]
        if _SIGNALS in numbers and self._signals is not None:
            numbers.remove(_SIGNALS)
            self.signal = read_signal(self._signals) or self.signal
        return numbers

    def work_limit(self) -> int:
        """Return what may come before the next wait; see `IoLoop`. A board asks."""
        now = self.clock()
        if -_OVERDUE_US < self._ticks.due - now <= 0:
            return TICK_DUE
        return NO_MEMORY if self._garbage.due(now, now) else GO

    def close(self) -> None:
        """Close the descriptor of the signals."""
        if self._signals is not None:
            self._signals.close()

    def wake(self) -> None:
        """Make the next wait return immediately."""
        self._woken = True


def _free_bytes() -> int:
    """Return the bytes that can be allocated before an allocation collects."""
    free: int = gc.mem_free()  # type: ignore[attr-defined]
    limit: int = gc.threshold()  # type: ignore[attr-defined]
    return min(free, limit) if limit > 0 else free


def _allocated() -> "Callable[[], int] | None":
    """Return the count of allocated bytes of RP2 boards (deploy/firmware/rp2/overlay)."""
    try:
        import _overlay  # type: ignore[import-not-found]  # noqa: PLC0415 - few have it

        count: Callable[[], int] = _overlay.allocated
    except (ImportError, AttributeError):
        return None
    return count


def _open_datagrams(address: "Address", wake: "Wake") -> "Port":
    from drivers.ports import datagram  # noqa: PLC0415 - for pairs and groups only

    return datagram.open_port(address, wake)


def print_line(line: str) -> None:
    """Print a line on stderr."""
    try:
        print(line, file=sys.stderr)
    except OSError:
        pass  # stderr is closed: no reason to stop


def run(
    agent: "AgentInterface",
    until: "Callable[[], bool] | None" = None,
    openers: "dict[str, Opener] | None" = None,
    out: "Callable[[str], None]" = print_line,
    console: int = -1,
    start: "Callable[[int], None] | None" = None,
) -> int:
    """Run `agent` over real ports. Return 0 after `until()`, else the number of the signal.

    Returns RESTART or LEAVE_BOOT_LOOP if the agent requests a restart. With `start`, the first tick
    is due when the first port is open, a field bus: this takes a board 20 ms.

    `until` is called at least every 250 ms. `openers` (kind of address -> opener) replaces those of
    this build. `out` prints one line for each change of a port's state, and the writes of the agent
    to its port number `console`. `start`: starts the agent.
    """
    gc.collect()
    ticks = getattr(agent, "ticks", None)
    poller = MicroPoller(ticks)
    io_loop = IoLoop(agent, _openers() if openers is None else openers, poller, out, console)
    io_loop.opens_in_turn = True
    if ticks is not None:
        open_us = min(_OPEN_US, ticks.period // 2)
        io_loop.has_time = lambda: (
            not (-_OVERDUE_US < ticks.due - monotonic() < open_us or poller.work_limit())
        )
        io_loop.work_limit = poller.work_limit
    gc.threshold(max(_THRESHOLD, gc.mem_free() * 7 // 8))  # type: ignore[attr-defined]
    if start is not None:
        # Not in the first tick. It binds no name to the parser, which would keep it in the memory.
        import drivers.ports.address_text  # noqa: F401, PLC0415

        start(monotonic())
        io_loop.start()
        io_loop.open_next()
        if ticks is not None:
            ticks.start(monotonic())
    try:
        interrupted = io_loop.run(lambda: poller.signal > 0 or (until is not None and until()))
    finally:
        poller.close()
    if interrupted or poller.signal:
        return _SIGINT if interrupted else poller.signal
    return io_loop.result()


def main(path: str, flash: "SlotFlash | None" = None) -> int:
    """Run the agent of the configuration file `path`; return the exit code.

    `flash`: the slots of a board that starts updates from them (see
    `drivers.ports.micropython.slot_store`).

    An exception that leaves the agent restarts it here; see `agent.runtime.crash_limit`.
    Returns 2 if the configuration is invalid; then nothing was started. Returns RESTARTED if the
    agent requests a restart: a board resets, a shell script calls again.
    """
    crashes = CrashLimit()
    boot_loop = BootLoop(_boot_store(path, flash))
    is_power_on = flash is not None and _POWER_ON in flash.start_notes
    while True:
        boot_loop.begin(monotonic(), is_power_on)
        is_power_on = False
        try:
            code = _run_once(path, flash, crashes.count, boot_loop)
            boot_loop.end(code == LEAVE_BOOT_LOOP)
            return RESTARTED if code in (RESTART, LEAVE_BOOT_LOOP) else code
        except Exception as error:
            if not crashes.allows_restart(monotonic()):
                raise
            sys.print_exception(error, sys.stderr)  # type: ignore[attr-defined]
            print_line("coldloop agent: starts again")
        gc.collect()


def _boot_store(path: str, flash: "SlotFlash | None") -> "micropython_store.Store | None":
    """Return the store that counts the starts; None: there is none.

    A board has one in any case; elsewhere a valid configuration names it.
    """
    if flash is not None:
        return micropython_store.Store(parse_address("store:" + flash.folder))
    try:
        with open(path) as file:
            raw = json.load(file)
        for section in ("retain", "remote"):
            if section in raw:
                return micropython_store.Store(parse_address(raw[section]["port"]))
    except (OSError, ValueError, KeyError, TypeError, errors.DriverError):
        pass
    return None


def _run_once(path: str, flash: "SlotFlash | None", restarts: int, boot_loop: BootLoop) -> int:
    """Build the agent and run it to its end. `restarts`: restarts after an exception so far."""
    gc.threshold(max(_THRESHOLD, gc.mem_free() // 2))  # type: ignore[attr-defined]
    level = boot_loop.fallback_level
    found = _read_config(path, flash, level)
    if found is None:
        return 2
    gc.collect()

    try:
        notes = () if flash is None else flash.start_notes
        agent = _make_controller(found[0], found[1], restarts, level, notes)
    except ConfigError as error:
        print_line("%s: %s" % (path, error))
        return 2
    del found
    openers, is_open = _openers(), None
    if flash is not None:
        is_open = _flash_gap(agent)
        openers["store"] = _slot_opener(flash, is_open)
        for component in getattr(agent, "components", ()):
            if hasattr(component, "use_small_slices"):
                component.use_small_slices()
    watch = BoardWatch(flash, agent, boot_loop, is_open)
    code = run(agent, lambda: watch.check(monotonic()), openers, console=CONSOLE, start=agent.start)
    return code if code in (RESTART, LEAVE_BOOT_LOOP) else 0


def _read_config(
    path: str, flash: "SlotFlash | None", level: int
) -> "tuple[Config, BootState | None] | None":
    """Return the configuration to run, and drop what has read it. None: it is invalid, and the
    reason is printed.
    """
    from agent.config.file import parse  # noqa: PLC0415 - so that it can be unloaded
    from agent.config.load import unload_checks  # noqa: PLC0415 - likewise

    try:
        try:
            with open(path) as file:
                text = file.read()
            raw = parse(text, path)
            config, boot = _choose(raw, path, flash, level)
        except (ConfigError, OSError) as error:
            config, boot = _choose_confirmed(path, flash, error)
        if level:
            from agent.config.protection_only import protection_only  # noqa: PLC0415

            config = protection_only(config, level)
    except (ConfigError, OSError) as error:
        print_line("%s: %s" % (path, error))
        return None
    unload_checks()
    return config, boot


def _make_controller(
    config: "Config",
    boot: "BootState | None",
    restarts: int,
    level: int,
    notes: "tuple[tuple[str, str], ...]",
) -> "Any":
    """Return the agent, or one controller of a pair around it."""
    from agent.agent import Agent  # noqa: PLC0415 - now there is room for its code

    if not [1 for section, _, _ in config.components if section == "redundancy"]:
        return Agent(config, boot, restarts, level, notes)
    from agent.redundancy.controller import make_controller  # noqa: PLC0415 - few units are pairs

    return make_controller(config, lambda: Agent(config, boot, restarts, level, notes), boot)


def _choose_confirmed(
    path: str, flash: "SlotFlash | None", fault: Exception
) -> "tuple[Config, BootState | None]":
    """Select the confirmed configuration of a board whose file is damaged.

    Raises `fault` if there is none, and for a decommissioned unit.
    """
    if flash is None:
        raise fault
    from agent.remote.update.boot import DECOMMISSIONED_KEY, start_confirmed  # noqa: PLC0415

    store = micropython_store.Store(parse_address("store:" + flash.folder))
    try:
        if store.read(DECOMMISSIONED_KEY) is not None:
            raise fault
        config, boot = start_confirmed(store.read, _compiler())
    except (ConfigError, errors.PortError):
        raise fault
    print_line("%s: %s" % (path, fault))
    print_line("coldloop agent: running the confirmed configuration in " + flash.folder)
    boot.limit_to_board(_running_slot(flash))
    boot.use_small_slices()
    return config, boot


def _running_slot(flash: "SlotFlash") -> "RunningSlot":
    """Return the slot that runs, for updates."""
    from agent.remote.storage.running_slot import RunningSlot  # noqa: PLC0415 - units with updates

    read = getattr(flash, "read_slot", None)  # an older firmware has none
    return RunningSlot(flash.slot, flash.release, flash.slot_bytes, read)


def _flash_gap(agent: "Any") -> "Callable[[int], bool] | None":
    """Return what tells whether the flash can be used now. None: a pair, which has no gaps."""
    if not hasattr(agent, "add_port_listener"):
        return None
    gap = FlashGap(agent)
    return lambda need: gap.is_open(monotonic(), need)


def _slot_opener(flash: "SlotFlash", is_open: "Callable[[int], bool] | None") -> "Opener":
    """Return the opener of stores on a board with slots."""

    def open_slotted(address: "Address", wake: "Wake") -> "Port":
        from drivers.ports.micropython.slot_store import SlotStorePort  # noqa: PLC0415 - few have them

        micropython_store.check_folder(address)
        return SlotStorePort(address, wake, flash, is_open)

    return open_slotted


def _choose(
    raw: "Any", path: str, flash: "SlotFlash | None", level: int
) -> "tuple[Config, BootState | None]":
    """Select and compile the configuration. Raises `ConfigError`."""
    compile_config = _compiler()
    if not isinstance(raw, dict) or not isinstance(raw.get("remote"), dict):
        return compile_config(raw), None
    from agent.remote.update.boot import start_config  # noqa: PLC0415 - only a unit that takes changes has it
    from drivers.ports.micropython.store import Store  # noqa: PLC0415

    address = parse_address(str(raw["remote"].get("port")))
    store = Store(address)
    try:
        config, boot = start_config(
            raw,
            store.read,
            compile_config,
            level > 0 or getattr(flash, "confirmed_only", False),
            store.write,
        )
    except DecommissionedError:
        from agent.remote.decommission import erase_unit  # noqa: PLC0415 - once in a unit's life

        raise ConfigError(erase_unit(path, raw, store.read))
    has_slots = flash is not None and address.path == flash.folder
    boot.limit_to_board(_running_slot(flash) if has_slots else None)  # type: ignore[arg-type]
    boot.use_small_slices()
    return config, boot


def _compiler() -> "Callable[[Any], Config]":
    """Return the function that checks and compiles a configuration of this board."""
    from agent.config.load import load  # noqa: PLC0415 - so that it can be unloaded

    profiles = _profiles()
    return lambda raw: load(with_defaults(raw), profiles)


def _profiles() -> "ProfileFiles":
    """Return the device profiles beside the drivers."""
    from agent.config.profile_files import ProfileFiles  # noqa: PLC0415 - so that it can be unloaded

    folder = errors.__file__.rsplit("/", 1)[0] + "/profiles"
    found = os.listdir(folder)
    files = [name for name in found if name.endswith(".json") and name != _SCHEMA]

    def read(name: str) -> "dict[str, Any]":
        with open("%s/%s.json" % (folder, name)) as file:
            raw: dict[str, Any] = json.load(file)
            return raw

    return ProfileFiles([name[: -len(".json")] for name in files], read, _CHECKED in found)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
