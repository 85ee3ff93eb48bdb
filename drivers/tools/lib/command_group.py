# SPDX-License-Identifier: Apache-2.0
"""A group of subcommands, `coldloop GROUP SUBCOMMAND`: help, wrong use, errors on one line.

It is in the lowest layer that has commands, so that all layers can use it. Each subcommand is a
module, imported only when it runs, with three names:

    EXAMPLE                  the line below its --help
    configure(parser)        adds its arguments
    run(arguments) -> code   0 good, 1 bad result or nothing found, 2 wrong use; `arguments.argv`
                             has the words of the command line after the subcommand
"""

import importlib
import sys

from drivers.tools.lib.parser import Parser
from drivers.tools.terminal.end_signals import raise_on_end_signals
from drivers.tools.terminal.printable import printable_lines

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Tools = dict[str, tuple[str, str]]

WRONG_USE = 2
_WITH_PROFILES = ("coldloop modbus", "coldloop hil")


class CommandGroup:
    """The subcommands of `coldloop NAME`: name -> (module, help text).

    A subcommand that raises one of `errors` prints it on one line and exits with code 2.
    """

    def __init__(
        self, name: str, tools: "Tools", example: str, errors: "tuple[type[Exception], ...]"
    ) -> None:
        self.prog = "coldloop %s" % name
        self.tools = tools
        self._example = example
        self._errors = errors

    def run(self, argv: "list[str]") -> int:
        """Run the subcommand that `argv` names; return its exit code."""
        if argv and argv[0] in ("-h", "--help"):
            sys.stdout.write(self._overview())
            return 0
        if not argv or argv[0] not in self.tools:
            sys.stderr.write("%s: %s\n" % (self.prog, self._unknown_text(argv)))
            return WRONG_USE
        return self._run_tool(argv[0], argv[1:])

    def _unknown_text(self, argv: "list[str]") -> str:
        problem = "no subcommand %r" % argv[0] if argv else "no subcommand"
        import difflib  # noqa: PLC0415 - 1 ms of every start

        suggestions = difflib.get_close_matches(argv[0], list(self.tools), 1) if argv else []
        hint = " (did you mean %s?)" % suggestions[0] if suggestions else ""
        return "%s%s; there are %s" % (problem, hint, ", ".join(self.tools))

    def _overview(self) -> str:
        width = max(13, max(len(name) for name in self.tools) + 2)
        entries = self.tools.items()
        rows = "\n".join("  %-*s%s" % (width, name, text) for name, (_, text) in entries)
        return (
            "usage: %s SUBCOMMAND [OPTION]...   (SUBCOMMAND --help tells more)\n\n"
            "subcommands:\n%s\n\nexample: %s %s\n" % (self.prog, rows, self.prog, self._example)
        )

    def _run_tool(self, name: str, argv: "list[str]") -> int:
        module, text = self.tools[name]
        try:
            tool: Any = importlib.import_module(module)
        except ModuleNotFoundError as error:
            reason = "the package of a controller does not have this command"
            sys.stderr.write("%s %s: %s; %s\n" % (self.prog, name, error, reason))
            return 2
        prog = "%s %s" % (self.prog, name)
        description = text[0].upper() + text[1:] + "."
        parser = Parser(prog=prog, description=description, epilog="example: %s" % tool.EXAMPLE)
        tool.configure(parser)
        if self.prog in _WITH_PROFILES:
            from drivers.tools.lib.profile_folders import add_profiles_option  # noqa: PLC0415

            add_profiles_option(parser)
        arguments = parser.parse_args(argv)
        arguments.argv = argv
        raise_on_end_signals()
        try:
            return int(tool.run(arguments))
        except self._errors as error:
            sys.stderr.write("%s: %s\n" % (prog, printable_lines(str(error))))
            return WRONG_USE
