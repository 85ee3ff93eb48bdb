# SPDX-License-Identifier: Apache-2.0
"""From the text of a register table to a checked profile; each problem is FILE:LINE and a remedy.

Does not parse or convert by itself; see `hil.tools.commission.inputs.register_table` and
`hil.tools.commission.profile_draft`. The last check is that of all profiles
(`drivers.device.profile_check`). It names points, and this module finds their lines.
"""

import re
from collections.abc import Callable
from pathlib import Path

from drivers.device.profile_check import check_profile
from hil.errors import BenchError
from hil.tools.commission.inputs.register_table import TableRow, parse_table
from hil.tools.commission.inputs.row_roles import describe_unclear
from hil.tools.commission.profile_draft import Raw, draft_profile, row_names


def read_text(path: Path) -> str:
    """Return the text of a table. Raises BenchError."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise BenchError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise BenchError(f"{path}: not UTF-8 text; save it as UTF-8 (Excel: CSV UTF-8)") from None


def make_profile(
    text: str,
    table: str,
    model: str,
    origin: str,
    choose: Callable[[TableRow], TableRow] | None = None,
) -> Raw:
    """Return the profile. Raises BenchError with a line for each problem: table, line, text.

    `choose` gets each row that only resembles a point of the agent, and returns it with its role.
    """
    rows = parse_table(text, table)
    if choose is not None:
        rows = [choose(row) if describe_unclear(row) else row for row in rows]
    raw = draft_profile(rows, model, origin, table)
    errors = check_profile(raw, model)
    if errors:
        raise BenchError("\n".join(_locate(errors, rows, table, model)))
    return raw


def _locate(errors: list[str], rows: list[TableRow], table: str, model: str) -> list[str]:
    """Return the errors of a profile with their lines.

    An error without a name, such as that of a role, follows from another one. If it is alone, it
    has the line of the first row.
    """
    lines = {name: row.line for row in rows for name in row_names(row)}
    found, others = [], []
    for error in errors:
        text = error.removeprefix(f"{model}: ")
        named = re.match(r"(?:point|bit|flags?) (\w+)", text)
        line = lines.get(named[1]) if named is not None else None
        if line is None:
            others.append(f"{table}:{rows[0].line}: {text}; correct the table")
        else:
            found.append(f"{table}:{line}: {text}; correct this line")
    return found or others
