# SPDX-License-Identifier: Apache-2.0
"""`coldloop completion`: scripts for bash, zsh and fish, and man pages, from the parsers' data.

Does not install them. `coldloop completion bash` prints a script for
/usr/share/bash-completion/completions/coldloop, and `coldloop completion man --out DIR` writes one
page for each command (section 1).
"""

import argparse
import os
import sys

from drivers.tools.lib.command_spec import load_spec
from drivers.tools.lib.parser import Parser

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Commands = dict[str, str]
    Specs = dict[str, dict[str, Any]]

SHELLS = ("bash", "zsh", "fish", "man")
_FILE_WORDS = ("FILE", "DIR", "PATH", "STORE", "RECORD")


def completion(commands: "Commands", argv: "list[str]") -> int:
    """Print a script, or write the man pages. `commands`: name -> help of the first words."""
    parser = Parser(
        prog="coldloop completion",
        description="Print the completion script of a shell, or write man pages.",
        epilog="example: coldloop completion bash > completions/coldloop",
    )
    parser.add_argument("kind", choices=SHELLS, help="a shell, or man")
    parser.add_argument("--out", metavar="DIR", help="folder of the man pages")
    arguments = parser.parse_args(argv)
    specs = {name: spec for name, spec in load_spec().items() if "groups" in spec}
    if arguments.kind == "man":
        if arguments.out is None:
            parser.error("man: --out DIR is needed")
        return _write_man_pages(commands, specs, arguments.out)
    make = {"bash": write_bash, "zsh": write_zsh, "fish": write_fish}[arguments.kind]
    sys.stdout.write(make(commands, specs))
    return 0


def _flag_options(spec: "dict[str, Any]") -> "list[dict[str, Any]]":
    return [option for group in spec["groups"] for option in group["options"] if option["flags"]]


def _subcommands(name: str, specs: "Specs") -> "list[str]":
    return sorted(key.partition(" ")[2] for key in specs if key.startswith(name + " "))


def _takes_file(option: "dict[str, Any]") -> bool:
    return any(word in str(option["metavar"] or "") for word in _FILE_WORDS)


def _choices(option: "dict[str, Any]") -> "list[str]":
    return option["choices"] or [] if option["nargs"] != 0 else []


def write_bash(commands: "Commands", specs: "Specs") -> str:
    """Write the script for bash."""
    cases = []
    for name, spec in sorted(specs.items()):
        words = [flag for option in _flag_options(spec) for flag in option["flags"]]
        cases.append('        "%s") words="%s";;' % (name, " ".join(words)))
        for option in _flag_options(spec):
            values = _choices(option)
            if values:
                keys = "|".join('"%s %s"' % (name, flag) for flag in option["flags"])
                cases.append('        %s) words="%s";;' % (keys, " ".join(values)))
    for name in sorted(commands):
        subcommands = _subcommands(name, specs)
        if subcommands:
            cases.append('        "%s") words="%s --help";;' % (name, " ".join(subcommands)))
    return _BASH % {"commands": " ".join(sorted(commands)), "cases": "\n".join(cases)}


_BASH = """\
# Completion of coldloop for bash; written by `coldloop completion bash`.
_coldloop() {
    local current="${COMP_WORDS[COMP_CWORD]}" previous="${COMP_WORDS[COMP_CWORD-1]}"
    local name="" words="" i
    for ((i = 1; i < COMP_CWORD && i < 3; i++)); do
        case "${COMP_WORDS[i]}" in -*) break;; esac
        name="${name:+$name }${COMP_WORDS[i]}"
    done
    _coldloop_words "$name"
    if [ -z "$words" ] && [ "$name" != "${name%% *}" ]; then
        name="${name%% *}"
        _coldloop_words "$name"
    fi
    case "$previous" in -*) local of_command="$words"; words=""
        _coldloop_words "$name $previous"
        [ -n "$words" ] || words="$of_command";;
    esac
    COMPREPLY=($(compgen -W "$words" -- "$current"))
    [ ${#COMPREPLY[@]} -gt 0 ] || COMPREPLY=($(compgen -f -- "$current"))
}
_coldloop_words() {
    case "$1" in
        "") words="%(commands)s --help --version";;
%(cases)s
    esac
}
complete -o filenames -F _coldloop coldloop
"""


def _quote(text: str) -> str:
    return text.replace("'", "").replace("[", "(").replace("]", ")").replace(":", ",")


def write_zsh(commands: "Commands", specs: "Specs") -> str:
    """Write the script for zsh."""
    lines = ["#compdef coldloop", "# Written by `coldloop completion zsh`.", "_coldloop() {"]
    lines.append("    local -a commands=(")
    lines += ["        '%s:%s'" % (name, _quote(text)) for name, text in sorted(commands.items())]
    lines.append("    )")
    lines.append("    if (( CURRENT == 2 )); then _describe command commands; return; fi")
    lines.append('    case "$words[2] $words[3]" in')
    for name, spec in sorted(specs.items()):
        pattern = '"%s"' % name if " " in name else '"%s "*' % name
        lines.append("        %s) _arguments -s %s '*:file:_files';;" % (pattern, _zsh_flags(spec)))
    for name in sorted(commands):
        subcommands = _subcommands(name, specs)
        if subcommands:
            lines.append('        "%s "*) compadd %s;;' % (name, " ".join(subcommands)))
    return "\n".join([*lines, "        *) _files;;", "    esac", "}", '_coldloop "$@"', ""])


def _zsh_flags(spec: "dict[str, Any]") -> str:
    words = []
    for option in _flag_options(spec):
        text = _quote(str(option["help"] or ""))
        for flag in option["flags"]:
            word = "%s[%s]" % (flag, text)
            if option["nargs"] != 0:
                values = _choices(option)
                action = (
                    "(%s)" % " ".join(values) if values else "_files" if _takes_file(option) else ""
                )
                word += ":%s:%s" % (_quote(str(option["metavar"] or option["dest"])), action)
            words.append("'%s'" % word)
    return " ".join(words)


def write_fish(commands: "Commands", specs: "Specs") -> str:
    """Write the script for fish."""
    lines = ["# Completion of coldloop for fish; written by `coldloop completion fish`."]
    for name, text in sorted(commands.items()):
        lines.append(
            "complete -c coldloop -f -n __fish_use_subcommand -a %s -d '%s'" % (name, _quote(text))
        )
        subcommands = _subcommands(name, specs)
        if subcommands:
            lines.append(
                "complete -c coldloop -f -n '__fish_seen_subcommand_from %s; and not "
                "__fish_seen_subcommand_from %s' -a '%s'"
                % (name, " ".join(subcommands), " ".join(subcommands))
            )
    for name, spec in sorted(specs.items()):
        condition = "; and ".join("__fish_seen_subcommand_from %s" % word for word in name.split())
        lines += [
            "complete -c coldloop -n '%s' %s" % (condition, _fish_flag(option))
            for option in _flag_options(spec)
        ]
    return "\n".join(lines) + "\n"


def _fish_flag(option: "dict[str, Any]") -> str:
    words = [
        "-l %s" % flag[2:] if flag.startswith("--") else "-s %s" % flag[1:]
        for flag in option["flags"]
    ]
    if option["nargs"] != 0:
        values = _choices(option)
        words.append("-x -a '%s'" % " ".join(values) if values else "-r")
    return "%s -d '%s'" % (" ".join(words), _quote(str(option["help"] or "")))


def _write_man_pages(commands: "Commands", specs: "Specs", folder: str) -> int:
    try:
        os.makedirs(folder, exist_ok=True)
        pages = {"coldloop": _man_overview(commands, specs)}
        pages.update(
            {"coldloop-" + name.replace(" ", "-"): _man_page(spec) for name, spec in specs.items()}
        )
        for name, text in pages.items():
            with open(os.path.join(folder, name + ".1"), "w", encoding="utf-8") as file:
                file.write(text)
    except OSError as error:
        sys.stderr.write("coldloop completion: %s: %s\n" % (folder, error.strerror))
        return 2
    sys.stdout.write("%d pages in %s\n" % (len(pages), folder))
    return 0


def _escape_roff(text: str) -> str:
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return "\n".join("\\&" + line if line[:1] in ".'" else line for line in text.splitlines())


def _man_header(name: str, text: str) -> "list[str]":
    return [
        '.TH "%s" 1 "" coldloop' % name.upper(),
        ".SH NAME",
        "%s \\- %s" % (_escape_roff(name), _escape_roff(text)),
    ]


def _man_overview(commands: "Commands", specs: "Specs") -> str:
    lines = _man_header("coldloop", "agent and test bench of a coolant distribution unit")
    lines += [".SH SYNOPSIS", ".B coldloop", "COMMAND [OPTION]...", ".SH COMMANDS"]
    for name, text in commands.items():
        subcommands = ", ".join(
            "coldloop-%s-%s(1)" % (name, word) for word in _subcommands(name, specs)
        )
        pages = subcommands or "coldloop-%s(1)" % name
        lines += [
            ".TP",
            ".B " + _escape_roff(name),
            "%s: %s" % (_escape_roff(text), _escape_roff(pages)),
        ]
    lines += [
        ".SH EXIT STATUS",
        "0 good, 1 judged bad, 2 wrong use or invalid file, 130 interrupted",
    ]
    return "\n".join(lines) + "\n"


def _man_page(spec: "dict[str, Any]") -> str:
    name = spec["prog"].replace(" ", "-")
    lines = _man_header(name, spec["description"].rstrip("."))
    lines += [".SH SYNOPSIS", ".B " + _escape_roff(spec["prog"]), "[OPTION]...", ".SH OPTIONS"]
    for group in spec["groups"]:
        for option in group["options"]:
            if option["help"] == argparse.SUPPRESS:
                continue
            value = option["metavar"] or (option["dest"].upper() if option["nargs"] != 0 else "")
            value = "|".join(option["choices"]) if option["choices"] else str(value)
            title = ", ".join(option["flags"]) or value
            shown = "%s %s" % (title, value) if option["flags"] and option["nargs"] != 0 else title
            lines += [
                ".TP",
                ".B " + _escape_roff(shown),
                _escape_roff(option["help"] or "") or "\\&",
            ]
    if spec["epilog"]:
        lines += [
            ".SH EXAMPLE",
            ".nf",
            _escape_roff(spec["epilog"].removeprefix("example:").strip()),
            ".fi",
        ]
    return "\n".join(lines) + "\n"
