# SPDX-License-Identifier: Apache-2.0
"""Topics and topic filters of MQTT 3.1.1 (section 4.7), for the emulated broker."""

from __future__ import annotations


def is_filter_valid(pattern: str) -> bool:
    """Return whether a topic filter is valid (section 4.7)."""
    levels = pattern.split("/")
    if not pattern or "\0" in pattern:
        return False
    if any("#" in level and level != "#" for level in levels) or "#" in levels[:-1]:
        return False
    return not any("+" in level and level != "+" for level in levels)


def is_topic_valid(topic: str) -> bool:
    """Return whether a topic is valid for publishing."""
    return bool(topic) and not any(c in topic for c in "+#\0")


def matches(pattern: str, topic: str) -> bool:
    """Return whether a topic filter matches a topic; wildcards do not match `$` topics."""
    if topic[0] == "$" and pattern[0] in "+#":
        return False
    filter_levels, levels = pattern.split("/"), topic.split("/")
    for i, level in enumerate(filter_levels):
        if level == "#":
            return True
        if i >= len(levels) or level not in ("+", levels[i]):
            return False
    return len(filter_levels) == len(levels)
