"""Runs basic-pitch's network inside a Python that has onnxruntime: `python -I note_worker.py MODEL IN OUT`.

`benchmarks.generator_notes` starts it with the interpreter of a virtual environment of its own; this file
needs nothing but numpy and onnxruntime. IN is a .npy of float32 mono samples at 22,050 Hz; OUT becomes a
.npz of `onset` and `frame`, (frames, 88 keys), a frame for each 256 samples, probabilities.
"""

import sys

import numpy as np
import onnxruntime

RATE, HOP = 22_050, 256
# What the network takes at once; of its 172 frames the middle ones are kept, from this one on.
WINDOW, FIRST, KEPT = 2 * RATE - HOP, 15, 141


def main(model: str, source: str, target: str) -> None:
    """Read the samples stretch by stretch and put the middles of the answers together."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    takes = session.get_inputs()[0].name
    audio = np.load(source)
    padded = np.concatenate([np.zeros(FIRST * HOP, np.float32), audio, np.zeros(WINDOW, np.float32)])
    found: dict[str, list[np.ndarray]] = {"onset": [], "frame": []}
    names = [item.name for item in session.get_outputs()]
    for start in range(0, len(audio), KEPT * HOP):
        stretch = padded[start : start + WINDOW]
        answers = dict(zip(names, session.run(None, {takes: stretch[None, :, None]}), strict=True))
        # In the order of the published model: notes sounding, notes beginning, contours.
        for kind, name in (("frame", "StatefulPartitionedCall:1"), ("onset", "StatefulPartitionedCall:2")):
            found[kind].append(answers[name][0, FIRST : FIRST + KEPT])
    np.savez(target, **{kind: np.concatenate(rows) for kind, rows in found.items()})


if __name__ == "__main__":
    main(*sys.argv[1:])
