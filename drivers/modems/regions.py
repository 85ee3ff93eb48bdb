# SPDX-License-Identifier: Apache-2.0
"""Transmission rules by region: bands, power and licences, as data.

Not legal advice, and not verified with any authority. The content is general knowledge of 2026; the
operator must verify it. A combination without a rule is barred. A system with a licence requirement
transmits only if the configuration names a licence. Bands in kHz (uplink), power in milliwatts.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    Rule = tuple[tuple[tuple[int, int], ...], int, bool, str]

_IRIDIUM = ((1_616_000, 1_626_500),)
_NTN = ((1_626_500, 1_660_500), (1_980_000, 2_010_000))
_RDSS = ((1_610_000, 1_626_500),)
_NO_RDSS = "BeiDou RDSS serves 80 to 140 degrees East, and is not licensed here"

REGIONS: "dict[str, dict[str, Rule]]" = {
    "uae": {  # authority: TDRA
        "sbd": (_IRIDIUM, 1_600, True, ""),
        "imt": (_IRIDIUM, 1_600, True, ""),
        "ntn": (_NTN, 200, True, ""),
        "ip": (_IRIDIUM, 9_000, True, ""),
        "rdss": (_RDSS, 10_000, True, _NO_RDSS),
    },
    "south_africa": {  # authority: ICASA
        "sbd": (_IRIDIUM, 1_600, True, ""),
        "imt": (_IRIDIUM, 1_600, True, ""),
        "ntn": (_NTN, 200, True, ""),
        "ip": (_IRIDIUM, 9_000, True, ""),
        "rdss": (_RDSS, 10_000, True, _NO_RDSS),
    },
    "bench": {  # emulated radios only
        "sbd": (_IRIDIUM, 1_600, False, ""),
        "imt": (_IRIDIUM, 1_600, False, ""),
        "ntn": (_NTN, 200, False, ""),
        "ip": (_IRIDIUM, 9_000, False, ""),
        "rdss": (_RDSS, 10_000, False, ""),
    },
}
"""Region -> kind of modem -> (bands, maximum power, licence required, reason of a bar or "")."""


def barred_reason(region: str, kind: str, licence: str) -> str:
    """Return the reason why `kind` must not transmit in `region`; empty if it can."""
    rule = REGIONS.get(region, {}).get(kind)
    if rule is None:
        return "no rule for %s in %s" % (kind, region)
    if rule[3]:
        return rule[3]
    if rule[2] and not licence:
        return "%s in %s needs a licence; name it as modem.licence" % (kind, region)
    return ""
