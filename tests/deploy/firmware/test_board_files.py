# SPDX-License-Identifier: Apache-2.0
"""Descriptions of boards against the tables of the chips in the source of MicroPython."""

import csv
import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from deploy.firmware import board_files
from deploy.firmware.build_tools import CACHE
from deploy.firmware.micropython_source import ensure_source
from deploy.firmware.rp2.build import RP2_BOARDS
from drivers.ports.address import parse_address
from drivers.ports.micropython.uart import open_port as open_uart
from tests.support.programs import require_program

PIN_SOURCES = ("machine_pin.c", "pin.c")
MAX_FRAME = 256  # bytes of a Modbus RTU frame


@pytest.fixture(scope="module")
def source() -> Path:
    require_program("arm-none-eabi-gcc")  # with it, the source is needed for the image anyway
    return ensure_source(CACHE)


def functions(path: Path) -> dict[str, set[str]]:
    """Return the alternate functions of each pin of a table of MicroPython."""
    result = {}
    for cells in csv.reader(path.read_text(encoding="utf-8").splitlines()):
        row = [cell.strip() for cell in cells]
        names = {name for cell in row[1:] for name in re.split(r"[,/]", cell)}
        result[row[0]] = names
        if len(row) > 1 and re.fullmatch(r"P[A-K]\d+", row[1]):
            result[row[1]] = names
    return result


def pins_of(board: dict[str, Any]) -> list[Any]:
    uarts = [
        uart[key] for uart in board["uart"] for key in ("tx", "rx", "direction") if key in uart
    ]
    return [*uarts, *board["pins"].values()]


@pytest.mark.parametrize("name", board_files.names())
def test_each_pin_has_one_use(name: str) -> None:
    pins = pins_of(board_files.load(name))
    assert len(pins) == len(set(pins))
    numbers = [uart["number"] for uart in board_files.load(name)["uart"]]
    assert len(numbers) == len(set(numbers))


@pytest.mark.parametrize("name", board_files.names())
def test_the_board_exists_in_the_port(name: str, source: Path) -> None:
    board = board_files.load(name)
    assert (source / "ports" / board["port"] / "boards" / board["board"]).is_dir()


@pytest.mark.parametrize("name", ["rp2040", "rp2350"])
def test_pins_of_rp2(name: str, source: Path) -> None:
    table = functions(source / "ports/rp2/boards/rp2_af.csv")
    board = board_files.load(name)
    for uart in board["uart"]:
        if "state_machine" in uart:  # PIO reaches each pin; the pair of machines is in one PIO
            assert uart["state_machine"] in (4, 6)
            assert uart["capacity"] == uart["tx_buffer"]
            assert uart["rx_buffer"].bit_count() == 1  # a ring of the DMA
            continue
        assert f"UART{uart['number']}_TX" in table[f"GPIO{uart['tx']}"]
        assert f"UART{uart['number']}_RX" in table[f"GPIO{uart['rx']}"]
        assert uart["capacity"] >= MAX_FRAME
    assert RP2_BOARDS[name].flash_kib == board["flash"]["kib"]
    assert RP2_BOARDS[name].board == board["board"]


def test_pins_of_stm32h743(source: Path) -> None:
    table = functions(source / "ports/stm32/boards/stm32h743_af.csv")
    header = source / "ports/stm32/boards/NUCLEO_H743ZI/mpconfigboard.h"
    text = header.read_text(encoding="utf-8")
    for uart in board_files.load("stm32h743")["uart"]:
        number = uart["number"]
        for key in ("tx", "rx"):
            pin = uart[key]
            kinds = {f"{kind}{number}_{key.upper()}" for kind in ("USART", "UART")}
            assert kinds & table[pin], (pin, table[pin])
            assert f"MICROPY_HW_UART{number}_{key.upper()}         (pin_{pin[1:]})" in text


def test_pins_of_imxrt1062(source: Path) -> None:
    folder = source / "ports/mimxrt/boards"
    table = functions(folder / "MIMXRT1062_af.csv")
    text = (folder / "TEENSY41/mpconfigboard.h").read_text(encoding="utf-8")
    index = re.search(r"UART_INDEX +\{([ \d,]+)\}", text)
    assert index is not None
    peripherals = [int(number) for number in index[1].split(",")]
    for uart in board_files.load("imxrt1062")["uart"]:
        peripheral = f"LPUART{peripherals[uart['number']]}"
        assert uart["peripheral"] == peripheral
        assert f"{peripheral}_TXD" in table[uart["tx"]]
        assert f"{peripheral}_RXD" in table[uart["rx"]]


def test_pins_of_esp32s3() -> None:
    """GPIO 26 to 32 belong to the flash, 0, 3, 45, 46 select the start, 19 and 20 are USB."""
    board = board_files.load("esp32s3")
    used = set(pins_of(board))
    assert used <= set(range(49)) - set(range(22, 33)) - {0, 3, 19, 20, 45, 46}


@pytest.mark.parametrize("name", board_files.names())
def test_a_direction_pin_needs_an_interrupt_of_the_port(name: str, source: Path) -> None:
    board = board_files.load(name)
    text = (source / "ports" / board["port"] / "machine_uart.c").read_text(encoding="utf-8")
    has_interrupt = "MP_QSTR_IRQ_TXIDLE" in text
    for uart in board["uart"]:
        assert has_interrupt or "direction" not in uart
        if "state_machine" not in uart:
            assert ("MP_QSTR_txbuf" in text) == ("tx_buffer" in uart)


class RecordingUart:
    """`machine.UART` that keeps the names of its arguments."""

    IRQ_TXIDLE = 1
    names: ClassVar[set[str]]

    def __init__(self, _number: int, **options: Any) -> None:
        self.names.update(options)

    def init(self, **options: Any) -> None:
        self.names.update(options)

    def irq(self, *_arguments: Any, **_options: Any) -> None:
        pass


class AnyPin:
    OUT = 1

    def __init__(self, *_arguments: Any, **_options: Any) -> None:
        pass


@pytest.mark.parametrize("name", board_files.names())
def test_the_port_takes_each_argument_of_a_uart(
    name: str, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unknown argument is a TypeError, which would end the agent when it opens its field bus."""
    board = board_files.load(name)
    text = (source / "ports" / board["port"] / "machine_uart.c").read_text(encoding="utf-8")
    table = re.search(r"init_helper\(.*?allowed_args\[\]\s*=\s*\{(.*?)\};", text, re.DOTALL)
    assert table is not None
    allowed = set(re.findall(r"MP_QSTR_(\w+),", table[1]))
    module: dict[str, Any] = {}
    exec(board_files.board_module(name), module)
    RecordingUart.names = set()
    machine = SimpleNamespace(UART=RecordingUart, Pin=AnyPin)
    monkeypatch.setitem(sys.modules, "_board_data", SimpleNamespace(**module))
    monkeypatch.setitem(sys.modules, "machine", machine)
    for number, uart in module["UARTS"].items():
        if "state_machine" not in uart:
            rs485 = "&rs485=1" if "direction" in uart else ""
            open_uart(parse_address(f"uart:{number}?baud=19200&parity=E{rs485}"), lambda: None)
    assert RecordingUart.names - allowed == set()
    assert {"baudrate", "parity", "rxbuf"} <= RecordingUart.names


@pytest.mark.parametrize("name", board_files.names())
def test_the_port_has_the_watchdog_and_the_edges(name: str, source: Path) -> None:
    """Names of `machine` that the drivers use."""
    port = source / "ports" / board_files.load(name)["port"]
    assert (port / "machine_wdt.c").is_file()
    pin = "\n".join((port / file).read_text() for file in PIN_SOURCES if (port / file).is_file())
    assert {"IN", "OUT", "IRQ_RISING", "IRQ_FALLING"} <= set(re.findall(r"MP_QSTR_(\w+)", pin))


def test_module_of_a_board() -> None:
    scope: dict[str, Any] = {}
    exec(board_files.board_module("rp2040"), scope)
    assert scope["UARTS"][1]["direction"] == 6
    assert scope["PINS"]["pps"] == 15
