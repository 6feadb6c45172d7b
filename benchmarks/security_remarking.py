"""Experiment 4: a marked recording marked again by the same program, under other keys or under its own."""

from typing import Any

import numpy as np

from benchmarks.security_material import (
    Finding,
    Host,
    Material,
    count,
    grade,
    is_present,
    log_p,
    mark,
    mean,
    read,
)

THEORY = (
    "Another key's chips are independent of ours: a further mark is noise of a fraction of the host's "
    "own. Under the same key the synchronisation pattern is the same at another place: the reader "
    "follows the stronger one, and the others are in its way; the candidate test, told the payload, "
    "looks for one."
)
TIMES = {True: (1, 2), False: (1, 2, 3)}
HOSTS = {True: 1, False: 10}
SECONDS = 15.0
OTHER_KEYS, SAME_KEY = "another key each time", "the same key, another payload each time"


def mark_again(material: Material, host: Host, way: str) -> list[dict[str, Any]]:
    """Mark a host, then again and again; read the first mark and the newest after each time."""
    key = material.derive(f"first key {host.name}")
    first = material.derive(f"first payload {host.name}", 8)
    audio = mark(host.audio, key, first, profile=material.profile)
    payloads, rows = [first], []
    for number in range(max(TIMES[material.short]) + 1):
        newest_key, newest = key, first
        if number:
            newest_key = material.derive(f"again {host.name} {number}") if way == OTHER_KEYS else key
            newest = material.derive(f"again payload {host.name} {number}", 8)
            audio = mark(audio, newest_key, newest, profile=material.profile)
            payloads.append(newest)
        found = read(audio, key, profile=material.profile)
        under_newest = found if newest_key == key else read(audio, newest_key, profile=material.profile)
        rows.append(
            {
                "host": host.name,
                "way": way,
                "times": number,
                "first_read": found.payload == first,
                "first_log10_p": log_p(found.false_alarm_probability) if found.payload == first else 0.0,
                "newest_read": under_newest.payload == newest,
                "wrong": found.payload is not None and found.payload not in payloads,
                "first_present": is_present(audio, key, first, profile=material.profile).present,
                "newest_present": is_present(audio, newest_key, newest, profile=material.profile).present,
                "odg": grade(host.audio, audio),
            }
        )
    return rows


def measure(material: Material) -> Finding:
    """Run the experiment."""
    trials = [
        row
        for host in material.hosts(HOSTS[material.short], SECONDS)
        for way in (OTHER_KEYS, SAME_KEY)
        for row in mark_again(material, host, way)
    ]
    rows = []
    for way in (OTHER_KEYS, SAME_KEY):
        for times in (0, *TIMES[material.short]):
            some = [row for row in trials if (row["way"], row["times"]) == (way, times)]
            rows.append(
                {
                    "marked again with": way,
                    "times": times,
                    "first mark read": count([row["first_read"] for row in some]),
                    "median log10 p": round(float(np.median([row["first_log10_p"] for row in some])), 1),
                    "newest mark read": count([row["newest_read"] for row in some]),
                    "first shown": count([row["first_present"] for row in some]),
                    "newest shown": count([row["newest_present"] for row in some]),
                    "a payload never written": count([row["wrong"] for row in some]),
                    "ODG": mean([row["odg"] for row in some]),
                }
            )
    return Finding(
        theory=THEORY,
        tables={f"what is read after marking again, {SECONDS:g} s": rows},
        note="shown: by the candidate test, which is told the payload",
        data={"trials": trials},
    )
