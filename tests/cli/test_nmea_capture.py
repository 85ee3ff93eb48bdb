# SPDX-License-Identifier: Apache-2.0
"""`coldloop nmea decode --json` of a file: the same bytes as the general way, and a short start."""

import random
import subprocess
import sys
from functools import reduce
from operator import xor
from pathlib import Path
from typing import Any

import pytest

import coldloop
from drivers.tools import nmea_decode
from drivers.tools.capture import command, kept_sentences, reader
from protocols.nmea import framing
from tests.support import nmea_captures
from tests.support.nmea_captures import general_json

ROOT = Path(__file__).resolve().parents[2]
NUMBERS = (
    "",
    "0",
    "1",
    "01",
    "04",
    "33",
    "65",
    "88",
    "120",
    "193",
    "201",
    "401",
    "805",
    "9x",
    "4000",
)


def sentence(body: str) -> bytes:
    """Return a line with its checksum; `body` can have faults."""
    return b"$%s*%02X\r\n" % (body.encode(), reduce(xor, body.encode()))


def draw_gsv(rng: random.Random) -> bytes:
    """Return a GSV with usual, unusual and malformed fields."""
    total = rng.choice((1, 2, 3))
    slots = []
    for _ in range(rng.randrange(5)):
        elevation = rng.choice(("", "0", "00", "45", "-05", "91", "x"))
        azimuth = rng.choice(("", "000", "0", "120", "360", "361"))
        slots += [rng.choice(NUMBERS[:-2] * 9 + NUMBERS[-2:]), elevation, azimuth]
        slots.append(rng.choice(("", "00", "31", "45", "99")))
    talker = rng.choice(("GP", "GL", "GA", "GB", "BD", "GQ", "PQ", "GN", "GI"))
    fields = [f"{talker}GSV", str(total), str(rng.randrange(1, total + 1)), "12", *slots]
    return sentence(",".join(fields + rng.choice(([], ["1"], ["8"], ["x"], ["1", "4"]))))


def draw_gsa(rng: random.Random) -> bytes:
    """Return a GSA in one of several shapes."""
    numbers = [rng.choice(NUMBERS[:-2]) for _ in range(rng.choice((12, 12, 16)))]
    fields = ["A", rng.choice("123"), *numbers, "1.5", rng.choice(("1.1", "", "x")), "2.2"]
    fields += rng.choice(([], ["1"], ["4"]))
    return sentence(f"{rng.choice(('GN', 'GP', 'BD'))}GSA," + ",".join(fields))


def draw_stream(seed: int) -> bytes:
    """Return epochs with drawn satellites, other sentences and some damage."""
    rng = random.Random(seed)
    lines = []
    for second in range(40):
        time = f"1200{second:02d}.{rng.choice(('00', '000', '5'))}"
        position = rng.choice(("2512.5,N,05516.5,E", "2512.5,S,05516.5,W", ",,,"))
        lines += [draw_gsv(rng) for _ in range(rng.randrange(8))]
        lines += [draw_gsa(rng) for _ in range(rng.randrange(3))]
        lines.append(sentence(f"GNRMC,{time},{rng.choice('AV')},{position},0.0,0.0,251126,,,A,V"))
        height = rng.choice(("12.0", "-3.25", ""))
        lines.append(
            sentence(f"GNGGA,{time},{position},1,{rng.choice(('08', ''))},1,{height},M,,M,,")
        )
        if rng.random() < 0.3:
            text = rng.choice(("ANTENNA OPEN", "ANTENNA OK", "PQTMX", "$x"))
            lines.append(sentence(f"GPTXT,01,01,01,{text}"))
        if rng.random() < 0.1:
            lines.append(rng.choice((b"# a note\n", b"\xb5b\x01\x07\x00\x00\x08\x19", b"!", b"$G")))
    if rng.random() < 0.5:
        lines = lines * 2
    stream = b"".join(lines)
    return stream.replace(b"\r\n", b"\n") if rng.random() < 0.3 else stream


def printed(stream: bytes, tmp_path: Path, capsys: Any, *options: str) -> str:
    log = tmp_path / "log.nmea"
    log.write_bytes(stream)
    coldloop.main(["nmea", "decode", str(log), "--json", *options])
    return str(capsys.readouterr().out)


@pytest.mark.parametrize("few", [False, True])
def test_text_is_that_of_the_general_way(
    few: bool, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Drawn streams; also when almost nothing is kept."""
    if few:
        monkeypatch.setattr(kept_sentences, "MAX_KEPT", 3)
        monkeypatch.setattr(reader, "MAX_KEPT", 3)
        monkeypatch.setattr(framing, "_MAX_KNOWN", 2)
    for seed in range(20):
        stream = draw_stream(seed)
        assert printed(stream, tmp_path, capsys) == general_json(stream), seed


@pytest.mark.parametrize("dialect", nmea_captures.DIALECTS)
def test_text_of_usual_and_damaged_captures(dialect: str, tmp_path: Path, capsys: Any) -> None:
    stream = nmea_captures.DIALECTS[dialect]()
    damaged = bytearray(stream)
    for at in range(97, len(damaged), 1009):
        damaged[at] ^= 1
    both = stream + bytes(damaged)
    assert printed(both, tmp_path, capsys) == general_json(both)
    text = printed(both, tmp_path, capsys, "--vendor", "allystar")
    assert text == general_json(both, "allystar")


def test_more_satellites_than_a_view_has(tmp_path: Path, capsys: Any) -> None:
    slots = [f"{number},10,{number},40" for number in range(1, 240)]
    sets = [slots[at : at + 4] for at in range(0, len(slots), 4)]
    lines = [f"GAGSV,60,{n},239,{','.join(part)},1" for n, part in enumerate(sets, 1)]
    lines.append("GNGSA,A,3,01,02,230,231,,,,,,,,,1.0,1.0,1.0,3")
    stream = b"".join(map(sentence, lines))
    text = printed(stream, tmp_path, capsys)
    assert text == general_json(stream)
    assert text.count('"gnss"') == 160


def test_the_kept_results_stay_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_sentences, "MAX_KEPT", 2)
    sentences = kept_sentences.KeptSentences()
    for number in range(5):
        body = b"GPGSV,1,1,01,%02d,60,172,46" % (number + 1)
        assert sentences.parse(body)[0] is sentences.parse(body)[0]
        assert len(sentences.satellites) <= 2


@pytest.mark.parametrize(
    "words", [[], ["log"], ["--json", "-x"], ["--json", "a", "b"], ["--json", "serial:/dev/x"]]
)
def test_other_words_need_the_parser(words: list[str]) -> None:
    assert command.run_plain(words) is None


def test_a_missing_file_and_no_file_need_the_parser(tmp_path: Path) -> None:
    assert command.run_plain(["--json", str(tmp_path / "missing")]) is None
    assert command.run_plain(["--json", str(tmp_path)]) is None
    assert command.run_plain(["--json", "/dev/null"]) is None


def test_a_file_as_standard_input_and_a_pipe(tmp_path: Path) -> None:
    stream = nmea_captures.capture(seconds=3)
    log = tmp_path / "log.nmea"
    log.write_bytes(stream)
    call = [sys.executable, "-m", "coldloop", "nmea", "decode", "--json"]
    with log.open("rb") as file:
        from_file = subprocess.run(call, stdin=file, cwd=ROOT, capture_output=True, check=True)
    from_pipe = subprocess.run(call, input=stream, cwd=ROOT, capture_output=True, check=True)
    assert from_file.stdout.decode() == from_pipe.stdout.decode() == general_json(stream)


def test_no_sentence_is_code_1(tmp_path: Path, capsys: Any) -> None:
    log = tmp_path / "empty"
    log.write_bytes(b"x")
    assert coldloop.main(["nmea", "decode", str(log), "--json"]) == 1
    assert "no sentence with a checksum" in capsys.readouterr().err


def test_sigint_ends_a_file_with_its_summary(
    tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_self: object, _data: bytes) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(reader.CaptureReader, "read", interrupt)
    assert '"epochs": 0' in printed(nmea_captures.capture(seconds=2), tmp_path, capsys)


def test_a_file_loads_little(tmp_path: Path) -> None:
    """Each of these takes 1 to 8 ms of a start; Python alone takes 13."""
    log = tmp_path / "log.nmea"
    log.write_bytes(nmea_captures.capture(seconds=2))
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); import coldloop\n"
        f"coldloop.main(['nmea', 'decode', '--json', {str(log)!r}])\n"
        "slow = ('argparse', 're', 'enum', 'json', 'functools', 'contextlib', 'agent',\n"
        "        'drivers.ports', 'drivers.tools.lib', 'drivers.gnss.receiver')\n"
        "print([name for name in slow if name in sys.modules])"
    )
    call = [
        sys.executable,
        "-I",
        "-S",
        "-c",
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{code}",
    ]
    done = subprocess.run(call, cwd=ROOT, capture_output=True, check=True)
    assert done.stdout.splitlines()[-1] == b"[]"


def test_verdicts_have_the_same_epochs(tmp_path: Path, capsys: Any) -> None:
    log = tmp_path / "log.nmea"
    log.write_bytes(nmea_captures.capture(seconds=3))
    nmea_decode.print_epochs(str(log), as_json=True)
    plain = capsys.readouterr().out.splitlines()
    coldloop.main(["nmea", "decode", str(log), "--json", "--verdicts"])
    judged = capsys.readouterr().out.splitlines()
    assert [text.replace(', "verdicts": []', "") for text in judged[:-1]] == plain[:-1]
