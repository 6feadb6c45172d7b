"""Whatever is drawn under the grammar is a well-formed tune: shown on random walks, without the network."""

import shutil
import subprocess

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generator.errors import RequestError
from generator.notation import format_tune, parse_tune, split_tunes
from generator.tokens import TOKEN_ID, VOCABULARY, Grammar, decode_tokens, encode_notes, normal_octave
from generator.tune import METRES, MODES, Section, Tune, TuneNote, interior_bars_exact


def walk(seed: int, metre: str, mode: str, plan: tuple[int, ...]) -> list[int]:
    """A sequence of uniformly drawn allowed tokens."""
    random = np.random.default_rng(seed)
    grammar = Grammar(plan=plan)
    tokens = [TOKEN_ID[f"M:{metre}"], TOKEN_ID[f"K:{mode}"], TOKEN_ID["R:air"]]
    for token in tokens:
        grammar.push(token)
    while grammar.place != "done":
        allowed = np.flatnonzero(grammar.allowed())
        assert len(allowed), f"dead end after {grammar.words[-8:]}"
        tokens.append(int(random.choice(allowed)))
        grammar.push(tokens[-1])
        assert len(tokens) < 5000
    return tokens


walks = st.builds(
    walk,
    st.integers(0, 2**32),
    st.sampled_from(sorted(METRES)),
    st.sampled_from(MODES),
    st.sampled_from([(2,), (4,), (8,), (4, 4), (8, 8), (8, 8, 8)]),
)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(walks, st.sampled_from(["C", "D", "Eb", "F#", "A"]))
def test_every_walk_fills_its_plan_with_exact_bars_and_ends_on_the_tonic(
    tokens: list[int], tonic: str
) -> None:
    tune = decode_tokens(tokens, tonic=tonic)
    exact, looked = interior_bars_exact(tune)
    assert exact == looked
    for section in tune.sections:
        first, last = section.bars[0], section.bars[-1]
        assert section.full_bars in (2, 4, 8)
        if section.pickup_units:
            assert sum(n.units for n in first) == section.pickup_units
        assert sum(n.units for n in last) == tune.bar_units - section.pickup_units
    final = tune.sections[-1].bars[-1][-1]
    assert final.step is not None
    assert final.step % 7 == 0
    assert final.alter == 0


@settings(max_examples=40, deadline=None, derandomize=True)
@given(walks)
def test_abc_of_a_walk_reads_back_as_the_same_tune(tokens: list[int]) -> None:
    tune = decode_tokens(tokens, tonic="D")
    raw = split_tunes(format_tune(tune, title="walk", tempo_bpm=100))
    assert len(raw) == 1
    back = parse_tune(raw[0])
    assert back.sections == tune.sections
    assert (back.metre, back.tonic, back.mode) == (tune.metre, tune.tonic, tune.mode)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(walks)
def test_encoding_a_decoded_tune_spells_the_same_music(tokens: list[int]) -> None:
    tune = decode_tokens(tokens, tonic="G")
    try:
        again = decode_tokens(encode_notes(tune), tonic="G")
    except RequestError:
        # A wild walk may leave the composer's compass once its register is normalised.
        return
    shift = 7 * normal_octave(tune)
    assert [s.pickup_units for s in again.sections] == [s.pickup_units for s in tune.sections]
    steps = [n.step for s in tune.sections for b in s.bars for n in b]
    steps_again = [n.step for s in again.sections for b in s.bars for n in b]
    assert steps_again == [None if s is None else s - shift for s in steps]


@pytest.mark.tool("abc2midi")
def test_abc2midi_reads_every_walk_without_a_complaint(tmp_path) -> None:
    if shutil.which("abc2midi") is None:
        pytest.skip("abc2midi is not installed")
    for seed in range(40):
        metre = sorted(METRES)[seed % len(METRES)]
        tune = decode_tokens(
            walk(seed, metre, MODES[seed % 4], (8, 4)), tonic=("C", "Bb", "E", "F#")[seed % 4]
        )
        path = tmp_path / "walk.abc"
        path.write_text(format_tune(tune, title=f"walk {seed}", tempo_bpm=90))
        run = subprocess.run(
            ["abc2midi", str(path), "-o", str(tmp_path / "walk.mid")],
            capture_output=True,
            text=True,
            check=True,
        )
        assert "error" not in run.stdout.lower(), run.stdout
        assert "warning" not in run.stdout.lower(), run.stdout


def test_vocabulary_is_frozen_with_the_weights() -> None:
    assert len(VOCABULARY) == 136
    assert len(set(VOCABULARY)) == len(VOCABULARY)


def test_a_length_outside_the_vocabulary_is_refused() -> None:
    bars = ((TuneNote(0, 0, 21), TuneNote(1, 0, 75)),)
    tune = Tune("4/4", "C", "major", "reel", (Section(0, bars, False),))
    with pytest.raises(RequestError, match="'d21'"):
        encode_notes(tune)
