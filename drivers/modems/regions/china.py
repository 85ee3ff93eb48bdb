# SPDX-License-Identifier: Apache-2.0
"""Radio rules of China (authority: MIIT). To be verified by the operator."""

from drivers.modems.regions.rule import KA, KU, L_NTN, L_RDSS, L_SBD, S_NTN, Rule

AUTHORITY = "MIIT"
VERIFIED = False
_SOURCE = "general knowledge and ITU-R allocations; ask MIIT"
_DATE = "2026-11"

_FOREIGN = "a foreign satellite service needs an approval of MIIT; none is assumed"

POLYGONS = (
    (
        (4920, 8740), (4700, 8570), (4520, 8230), (4290, 8020), (4000, 7400), (3720, 7490),
        (3550, 7780), (3250, 7880), (3030, 8120), (2800, 8600), (2780, 8890), (2800, 9190),
        (2930, 9540), (2820, 9750), (2400, 9770), (2150, 10020), (2140, 10150), (2260, 10260),
        (2280, 10600), (2150, 10800), (1820, 10860), (1820, 11000), (2030, 11100),
        (2230, 11460), (2530, 11980), (2820, 12170), (3100, 12240), (3490, 11960),
        (3740, 12270), (3880, 12150), (4000, 12430), (4170, 12680), (4240, 13060),
        (4520, 13190), (4840, 13510), (4770, 13100), (4940, 12750), (5350, 12250),
        (5330, 12050), (5000, 11930), (4950, 11700), (4660, 11970), (4640, 11740),
        (4500, 11200), (4260, 10960), (4240, 10500), (4260, 9700), (4510, 9100),
    ),
)  # fmt: skip

RULES = {
    "sbd": Rule(L_SBD, 1_600, True, _FOREIGN, _SOURCE, _DATE),
    "imt": Rule(L_SBD, 1_600, True, _FOREIGN, _SOURCE, _DATE),
    "certus": Rule(L_SBD, 9_000, True, _FOREIGN, _SOURCE, _DATE),
    "ntn_l": Rule(L_NTN, 200, True, _FOREIGN, _SOURCE, _DATE),
    "ntn_s": Rule(S_NTN, 200, True, _FOREIGN, _SOURCE, _DATE),
    "rdss": Rule(L_RDSS, 10_000, True, "", _SOURCE, _DATE),
    "ku": Rule(KU, 6_000_000, True, _FOREIGN, _SOURCE, _DATE),
    "ka": Rule(KA, 20_000_000, True, _FOREIGN, _SOURCE, _DATE),
}
