"""ABC in: what is kept, what is normalised, and what is refused with its name."""

import pytest

from generator.errors import RequestError
from generator.notation import parse_key, parse_tune, split_tunes
from generator.tune import Tune, pitch_of, signature


def read(body: str, *, metre: str = "4/4", key: str = "C", length: str = "1/8") -> Tune:
    """A tune from its body."""
    (raw,) = split_tunes(f"X:1\nT:t\nM:{metre}\nL:{length}\nK:{key}\n{body}\n")
    return parse_tune(raw)


def pitches(tune: Tune) -> list[int | None]:
    """MIDI pitches in order."""
    return [
        None if n.step is None else pitch_of(n.step, n.alter, tune.tonic, tune.mode)
        for s in tune.sections
        for b in s.bars
        for n in b
    ]


def units(tune: Tune) -> list[int]:
    """Lengths in order."""
    return [n.units for s in tune.sections for b in s.bars for n in b]


def test_pitches_follow_key_octave_marks_and_accidentals_within_the_bar() -> None:
    tune = read("C, c c' F ^F F =F z | F4 G4 |]", key="G")
    assert pitches(tune) == [48, 60 + 12, 84, 66, 66, 66, 65, None, 66, 67]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("A2 B c/ d/ e4 |]", [24, 12, 6, 6, 48]),
        ("A>B c<d e4 |]", [18, 6, 6, 18, 48]),
        ("A>>B A2 e4 |]", [21, 3, 24, 48]),
        ("(3ABc d2 e4 |]", [8, 8, 8, 24, 48]),
        ("A2-A2 e4 |]", [48, 48]),
        ("A3/2B/2 c2 e4 |]", [18, 6, 24, 48]),
    ],
)
def test_lengths_in_units_of_a_96th(body: str, expected: list[int]) -> None:
    assert units(read(body)) == expected


def test_of_two_endings_the_second_is_kept() -> None:
    tune = read("|: C8 | D8 |1 E8 :|2 F8 |]")
    assert pitches(tune) == [60, 62, 65]
    assert tune.sections[0].repeated


def test_last_bar_is_made_to_complete_the_pick_up() -> None:
    tune = read("G2 | C8 | C8 |]")
    assert tune.sections[0].pickup_units == 24
    assert units(tune) == [24, 96, 72]


def test_ornaments_chord_symbols_and_lower_chord_notes_are_left_out() -> None:
    tune = read('"Am"{gf}~A2 !trill![Ec]2 .B4 |]')
    assert pitches(tune) == [69, 72, 71]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"body": "C8 | C6 | C8 |]"}, "expected 96 units of 1/96 note in bar 2, got 72"),
        ({"body": "hello <world>"}, "expected"),
        ({"body": "(5ABCDE F4 |]"}, "tuplet of 5"),
        ({"body": "C4 [K:D] D4 |]"}, "one key and metre"),
        ({"body": "C8 |]", "metre": "7/8"}, "metre"),
        ({"body": "C8 |]", "key": "H"}, "key such as"),
        ({"body": "C8 |]", "key": "Clyd"}, "got 'Clyd'"),
        ({"body": "C8 |]", "length": "1/7"}, "L: field"),
        ({"body": "> C8 |]"}, "before '>'"),
        ({"body": "C/0 |]"}, "note length"),
        ({"body": "% nothing"}, "at least one bar"),
    ],
)
def test_what_cannot_be_kept_is_refused_by_name(change: dict[str, str], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        read(**change)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Dm", ("D", "minor")),
        ("A Mixolydian", ("A", "mixolydian")),
        ("Bb", ("Bb", "major")),
        ("F#min", ("F#", "minor")),
    ],
)
def test_keys(text: str, expected: tuple[str, str]) -> None:
    assert parse_key(text) == expected


def test_signatures() -> None:
    assert signature("D", "minor") == {"C": 0, "D": 0, "E": 0, "F": 0, "G": 0, "A": 0, "B": -1}
    assert sum(signature("F#", "major").values()) == 6
    assert sum(signature("A", "mixolydian").values()) == 2
    assert sum(signature("Cb", "major").values()) == -7
