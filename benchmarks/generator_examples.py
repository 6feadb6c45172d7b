"""A page of examples of the embedded engine: `python -m benchmarks.generator_examples [--short]`.

Short pieces in several forms, keys, metres and settings, each with its sound, its score as notation (where
abcm2ps is installed) and as a piano roll, its spectrogram, what the prompt was taken to mean, and its copy
check. It is one folder of files, opened as index.html; nothing is fetched from anywhere. The pieces are for
listening on this machine: they carry no mark, because no ledger issued them.
"""

import argparse
from html import escape
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from api.scorepicture import draw_roll, engrave
from benchmarks.plots import open_panels, save
from benchmarks.report import OUTPUT, describe_run, run_main, show_progress, show_table, write_json
from generator import Request, Result, open_engine
from generator.engine import EngineDescription
from generator.loudness import loudness_lufs, true_peak

# (prompt, seconds, opening in ABC to be continued).
EXAMPLES: tuple[tuple[str, float, str | None], ...] = (
    ("reel in G in four parts, fiddle, second fiddle, guitar and double bass", 14.0, None),
    ("slow waltz in D minor, piano", 16.0, None),
    ("jig in E minor, flute, harp and drums", 12.0, "M:6/8\nL:1/8\nK:Em\nEGB e2 d | BAG F2 D |"),
    ("slip jig in A dorian, accordion and guitar", 12.0, None),
    ("strathspey in A mixolydian, solo fiddle", 12.0, None),
    ("march in Bb, clarinet, organ, bass and drums", 12.0, None),
    ("sad air in C minor, cello and harp", 18.0, None),
    ("hornpipe in D, harpsichord", 12.0, None),
    ("polka in F for a band, accordion", 10.0, None),
    ("hymn in E flat, strings", 16.0, None),
)
SHORT = 2
HIGHEST_HZ, FLOOR_DB = 16_000, 80.0

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem;
  color: #1a1a1a; background: #fff }
section { border-top: 1px solid #d0d0d0; padding: 1rem 0 2rem } h2 { font-size: 1.15rem }
img { max-width: 100%; height: auto; display: block; margin: .6rem 0 } audio { width: 100% }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 0 1rem; font-size: .9rem } dd { margin: 0 }
code { overflow-wrap: anywhere; font-size: .8rem }
"""


def draw_spectrogram(audio: NDArray[np.float32], sample_rate: int, path: Path) -> None:
    """Write the spectrogram of a piece, both channels together, as PNG."""
    frames = np.lib.stride_tricks.sliding_window_view(audio.mean(0), 2048)[::1024]
    power = np.abs(np.fft.rfft(frames * np.hanning(2048).astype(np.float32), axis=1)) ** 2
    rows = int(HIGHEST_HZ / sample_rate * 2048)
    level_db = 10 * np.log10(power[:, :rows] + 1e-12)
    figure, panels = open_panels(1, 1, width=9.0, height=2.6)
    panel = panels[0, 0]
    panel.imshow(
        level_db.T,
        origin="lower",
        aspect="auto",
        extent=(0.0, audio.shape[1] / sample_rate, 0.0, HIGHEST_HZ / 1000),
        vmin=level_db.max() - FLOOR_DB,
        vmax=level_db.max(),
        cmap="magma",
    )
    panel.set_xlabel("s")
    panel.set_ylabel("kHz")
    save(figure, path)


def write_example(number: int, prompt: str, result: Result, folder: Path) -> str:
    """Write the files of a piece and return its part of the page."""
    stem = f"{number:02d}"
    soundfile.write(folder / f"{stem}.flac", result.audio.T, result.sample_rate, subtype="PCM_16")
    draw_spectrogram(result.audio, result.sample_rate, folder / f"{stem}-spectrogram.png")
    pictures = [(f"{stem}-spectrogram.png", "Spectrogram, 0 to 16 kHz")]
    links = []
    if result.midi is not None:
        (folder / f"{stem}.mid").write_bytes(result.midi)
        (folder / f"{stem}-roll.svg").write_bytes(draw_roll(result.midi))
        pictures.insert(0, (f"{stem}-roll.svg", "Piano roll of all parts"))
        links.append(f'<a href="{stem}.mid">MIDI</a>')
    if result.abc is not None:
        (folder / f"{stem}.abc").write_text(result.abc, encoding="utf-8")
        links.append(f'<a href="{stem}.abc">ABC</a>')
        notation = engrave(result.abc)
        if notation is not None:
            (folder / f"{stem}-score.svg").write_bytes(notation)
            pictures.insert(0, (f"{stem}-score.svg", "Notation"))
    facts = {**result.understood, "seed": str(result.seed), "loudness": format_level(result)}
    if result.copy_check is not None:
        found = result.copy_check
        facts["shared with training tunes"] = (
            f"{100 * found.hit_rate:.1f} % of its 12-note sequences, longest run {found.longest_run} notes"
        )
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts.items())
    shown = "".join(f'<img src="{name}" alt="{text} of: {escape(prompt)}">' for name, text in pictures)
    return (
        f"<section><h2>{number}. {escape(prompt)}</h2>"
        f'<audio controls preload="none" src="{stem}.flac"></audio>'
        f"{shown}<dl>{rows}</dl><p>{' · '.join(links)}</p></section>"
    )


def format_level(result: Result) -> str:
    """Loudness and true peak of a piece in words."""
    loudness = loudness_lufs(result.audio, result.sample_rate)
    return f"{loudness:.1f} LUFS, {20 * np.log10(true_peak(result.audio)):.1f} dBTP"


def format_page(sections: list[str], described: EngineDescription) -> str:
    """The page around the pieces."""
    weights = "".join(f"<li><code>{escape(n)} {d}</code></li>" for n, d in sorted(described.weights.items()))
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Examples of the generator</title>'
        f"<style>{STYLE}</style><h1>Examples of the generator</h1>"
        f"<p>Engine {escape(described.name)} {escape(described.version)}, trained on "
        f"{escape(described.training_corpus)}. The same prompt, seed and weights give the same samples.</p>"
        f"{''.join(sections)}<h2>Weights</h2><ul>{weights}</ul></html>\n"
    )


def main() -> None:
    """Make the pieces and write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--short", action="store_true", help=f"the first {SHORT} pieces")
    parser.add_argument("--seed", type=int, default=1, help="of the first piece; the others follow")
    parser.add_argument("--output", type=Path, default=OUTPUT / "examples", help="folder of the page")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    engine = open_engine("embedded")
    chosen = EXAMPLES[:SHORT] if options.short else EXAMPLES
    sections, results = [], []
    for number, (prompt, seconds, abc) in enumerate(
        show_progress(chosen, total=len(chosen), what="pieces"), start=1
    ):
        result = engine.generate(Request(prompt, seconds, options.seed + number - 1, abc=abc))
        sections.append(write_example(number, prompt, result, options.output))
        results.append({"prompt": prompt, "seed": result.seed, "seconds": result.audio.shape[1] / 44_100})
    page = options.output / "index.html"
    page.write_text(format_page(sections, engine.describe()), encoding="utf-8")
    write_json(
        options.output / "examples.json", "generator_examples", describe_run(options), {"pieces": results}
    )
    show_table("Examples", ("page", "pieces"), [(str(page), str(len(sections)))])


if __name__ == "__main__":
    raise SystemExit(run_main(main))
