"""How much noise the code takes: `python -m benchmarks.code [--short]`.

Random payloads with a check's worth of further bits are encoded, sent as soft bits with Gaussian noise, and
list decoded. The table gives the share of words that are in the list, by energy per *payload* bit over the
noise density (dB), for the profile's check and list, for a shorter list and for shorter checks, and the time
of a decoding.
"""

import sys
import time

import numpy as np

from benchmarks.report import describe_run, make_parser, run_main, show_table, write_json
from watermark import PROFILE, polar

SHORTER_LIST = 128  # of profiles pn1 and pn2
LEVELS_DB = (0.5, 1.0, 1.5, 2.0, 2.5)


def measure_row(check_bits: int, list_size: int, words: int, seed: int) -> dict[str, object]:
    """Measure one length of the check, with one length of the list."""
    rng = np.random.default_rng(seed)
    bits, length = PROFILE.payload_bits + check_bits, PROFILE.codeword_bits
    row: dict[str, object] = {"check_bits": check_bits, "list": list_size}
    started = time.process_time()
    for level_db in LEVELS_DB:
        amplitude = np.sqrt(10 ** (level_db / 10) * 2 * PROFILE.payload_bits / length)
        found = 0
        for _ in range(words):
            word = rng.integers(0, 2, bits).astype(np.uint8)
            soft = amplitude * (1 - 2.0 * polar.encode(word, length)) + rng.standard_normal(length)
            candidates = polar.decode_list(soft, bits, list_size)
            found += any((candidate == word).all() for candidate in candidates)
        row[f"{level_db} dB"] = found / words
    row["ms"] = (time.process_time() - started) / (words * len(LEVELS_DB)) * 1000
    return row


def measure() -> None:
    """Run the benchmark."""
    options = make_parser(__doc__).parse_args()
    words = 200 if options.short else 2000
    tried = [
        (PROFILE.check_bits, PROFILE.list_size),
        (PROFILE.check_bits, SHORTER_LIST),
        (24, PROFILE.list_size),
        (16, PROFILE.list_size),
    ]
    rows = [measure_row(check_bits, size, words, options.seed) for check_bits, size in tried]
    shown = [
        [f"{value:.3g}" if isinstance(value, float) else str(value) for value in r.values()] for r in rows
    ]
    show_table(f"share of {words} words in the list", list(rows[0]), shown)
    options.output.mkdir(parents=True, exist_ok=True)
    path = options.output / ("code-short.json" if options.short else "code.json")
    write_json(path, "code", describe_run(options), {"words": words, "rows": rows})
    print(f"JSON in {path}")


if __name__ == "__main__":
    sys.exit(run_main(measure))
