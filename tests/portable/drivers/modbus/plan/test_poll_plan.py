# SPDX-License-Identifier: Apache-2.0
"""Poll plans: least wire time, unreadable ranges, atomic blocks, learning from rejections."""

from drivers.modbus.plan.block_planner import plan_blocks, plan_time_us
from drivers.modbus.plan.plan_learning import LEARN_AFTER_US, RETRY_US
from drivers.modbus.plan.poll_plan import PollPlan
from drivers.modbus.register_span import ReadBlock
from drivers.modbus.wire_time import WireTime
from tests.portable.support.check import eq

WIRE = WireTime(19200, 11, 5000)


class Item:
    def __init__(self, address, registers=1, function=3):
        self.function = function
        self.address = address
        self.registers = registers


def blocks_at(*places):
    return [ReadBlock(*place) for place in places]


def items(*places):
    return [Item(*place) if type(place) is tuple else Item(place) for place in places]


class PlanLcg:
    def __init__(self, seed):
        self.state = (seed * 2654435761 + 12345) & 0xFFFFFFFF

    def below(self, n):
        self.state = (self.state * 1664525 + 1013904223) & 0xFFFFFFFF
        return (self.state >> 8) % n


def test_wire_time_matches_standard():
    eq(WireTime(9600, 11).gap_us, 4011)
    eq(WireTime(19200, 11).gap_us, 2006)
    eq(WireTime(115200, 10).gap_us, 1750)
    eq(WIRE.read_us(3, 20), 2006 + 53 * 11 * 1_000_000 // 19200 + 5000)
    eq(WIRE.read_us(1, 20) - WIRE.read_us(1, 16), WIRE.chars_us(16) - WIRE.chars_us(15))
    for baud in (9600, 19200, 115200):
        wire = WireTime(baud, 11)
        cap = wire.max_read(3, 100_000)
        assert wire.read_us(3, cap) <= 100_000, baud
        assert cap == 125 or wire.read_us(3, cap + 1) > 100_000


def test_gap_is_read_through_when_cheaper():
    for baud in (9600, 19200, 38400, 115200):
        wire = WireTime(baud, 11, 5000)
        for gap in range(100):
            blocks = plan_blocks(items(0, gap + 1), wire)
            together = blocks_at((3, 0, gap + 2))
            apart = blocks_at((3, 0, 1), (3, gap + 1, 1))
            cheaper = plan_time_us(together, wire) <= plan_time_us(apart, wire)
            eq((baud, gap, blocks), (baud, gap, together if cheaper else apart))


def brute_force(spans, wire, max_length):
    """Return the least wire time over all possible plans (exponential; for a few points)."""
    best = None
    for cuts in range(1 << (len(spans) - 1)):
        blocks, start = [], 0
        for i in range(len(spans)):
            if i == len(spans) - 1 or cuts >> i & 1:
                end = max([s.address + s.registers for s in spans[start : i + 1]])
                blocks.append(ReadBlock(3, spans[start].address, end - spans[start].address))
                start = i + 1
        legal = max([count for _, _, count in blocks]) <= max_length
        cost = plan_time_us(blocks, wire)
        if legal and (best is None or cost < best):
            best = cost
    return best


def test_plan_is_optimal():
    for seed in range(120):
        lcg = PlanLcg(seed)
        wire = WireTime((9600, 19200, 115200)[seed % 3], 11, 1000 * lcg.below(12))
        spans, at = [], lcg.below(100)
        for _ in range(1 + lcg.below(8)):
            size = 1 + lcg.below(4)
            spans.append(Item(at, size))
            at += size + lcg.below(40)
        longest = 20 + lcg.below(100)
        blocks = plan_blocks(spans, wire, max_block=longest)
        eq((seed, plan_time_us(blocks, wire)), (seed, brute_force(spans, wire, longest)))
        for item in spans:
            inside = [1 for _, a, n in blocks if a <= item.address <= a + n - item.registers]
            eq(len(inside), 1)


def test_unreadable_ranges_borders_atomic_blocks():
    points = items(0, 1, 3, 4)
    eq(plan_blocks(points, WIRE), [(3, 0, 5)])
    eq(plan_blocks(points, WIRE, blocks_at((3, 2, 1))), [(3, 0, 2), (3, 3, 2)])
    eq(plan_blocks(points, WIRE, blocks_at((4, 2, 1))), [(3, 0, 5)])
    eq(plan_blocks(points, WIRE, blocks_at((3, 1, 0))), [(3, 0, 1), (3, 1, 4)])
    # The plan leaves out a point in a hole.
    eq(plan_blocks(points, WIRE, blocks_at((3, 1, 1))), [(3, 0, 1), (3, 3, 2)])
    eq(plan_blocks(points, WIRE, (), blocks_at((3, 3, 9))), [(3, 0, 2), (3, 3, 9)])
    eq(plan_blocks(points, WIRE, (), blocks_at((3, 50, 9))), [(3, 0, 5)])
    eq(plan_blocks(points + items((0, 1, 4)), WIRE), [(3, 0, 5), (4, 0, 1)])
    eq(plan_blocks([], WIRE), [])
    eq(plan_blocks(items((5, 1, 1), (60, 1, 1)), WIRE), [(1, 5, 56)])
    eq(plan_blocks(items((0, 2), (1, 2), 1), WIRE), [(3, 0, 3)])  # two points may share registers


def simulate_device(plan, is_refused, rounds=60, now=0):
    """Poll until no read is rejected; return the number of rejected reads."""
    refusals = 0
    for _ in range(rounds):
        version = plan.version
        for block in plan.blocks:
            if is_refused(block):
                refusals += 1
                plan.exclude(block, now)
            else:
                plan.block_answered(block)
        if plan.version == version:
            return refusals
    raise AssertionError("no end")


def test_plan_learns_unreadable_registers():
    for seed in range(150):
        lcg = PlanLcg(seed)
        points, gaps, at = [], [], 0
        for _ in range(20):
            points.append(Item(at))
            gap = lcg.below(4)
            gaps.extend(range(at + 1, at + 1 + gap))
            at += 1 + gap
        holes = [place for place in gaps if lcg.below(5) == 0]

        def refuses(block, holes=holes):
            return bool([1 for h in holes if block.address <= h < block.address + block.count])

        plan = PollPlan(points, WIRE)
        eq(plan.blocks, [(3, 0, points[-1].address + 1)])
        refusals = simulate_device(plan, refuses)
        best = plan_blocks(points, WIRE, [ReadBlock(3, place, 1) for place in holes])
        assert refusals <= 8 * len(holes), (seed, refusals)
        eq((seed, plan.excluded), (seed, []))
        # The plan is as good as one with known holes.
        assert len(plan.blocks) <= len(best), (seed, plan.blocks, best)


def test_missing_point_is_excluded_and_retried_alone():
    points = items(0, 1, 2, 3, 4, 5)
    plan = PollPlan(points, WIRE)
    simulate_device(plan, lambda block: block.address <= 2 < block.address + block.count)
    eq((plan.blocks, plan.excluded), ([(3, 0, 2), (3, 3, 3)], [(3, 2, 1)]))
    eq((plan.retry_at, plan.retry_excluded(plan.retry_at - 1)), (RETRY_US, False))
    assert plan.retry_excluded(RETRY_US)
    eq(plan.blocks, [(3, 0, 2), (3, 2, 1), (3, 3, 3)])
    plan.exclude(ReadBlock(3, 2, 1), RETRY_US)
    eq((plan.blocks, plan.retry_at), ([(3, 0, 2), (3, 3, 3)], 3 * RETRY_US))
    plan.retry_excluded(plan.retry_at)
    plan.block_answered(ReadBlock(3, 2, 1))
    eq(plan.excluded, [])
    assert plan.retry_at > 1 << 60


def test_device_that_rejects_all_reads_recovers():
    points = items(0, 1, 2, 9, (20, 2))
    plan = PollPlan(points, WIRE, (), blocks_at((3, 20, 8)))
    simulate_device(plan, lambda _: True)
    eq(plan.blocks, [])
    version = plan.version
    plan.exclude(ReadBlock(3, 0, 99), 5)  # a block of an older plan
    eq(plan.version, version)
    plan.retry_excluded(plan.retry_at)
    eq(simulate_device(plan, lambda _: False), 0)
    eq(plan.excluded, [])
    covered = [block for block in plan.blocks if block.address <= 9 < block.address + block.count]
    eq(len(covered), 1)


def test_temporary_refusal_does_not_change_plan():
    plan = PollPlan(items(0, 1, 2), WIRE)
    (block,) = plan.blocks
    plan.block_answered(block)
    for now in (5, LEARN_AFTER_US):
        plan.exclude(block, now)
        eq(plan.blocks, [block])
    plan.block_answered(block)  # the time starts again
    plan.exclude(block, LEARN_AFTER_US + 9)
    eq(plan.blocks, [block])
    plan.exclude(block, 2 * LEARN_AFTER_US + 9)
    assert plan.blocks != [block], "a register is missing permanently"
