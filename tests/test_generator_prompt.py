"""What a prompt is taken to mean."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generator.errors import RequestError
from generator.instruments import BY_NAME
from generator.prompt import MAX_PROMPT_CHARACTERS, Settings, read_prompt
from generator.tune import METRES, MODES, RHYTHMS, signature


def read(prompt: str, **parameters: str) -> Settings:
    """Settings of a prompt."""
    return read_prompt(prompt, parameters, seed=1)


def test_slow_waltz_in_d_minor_for_piano() -> None:
    found = read("slow waltz in D minor, piano")
    assert (found.metre, found.tonic, found.mode, found.rhythm) == ("3/4", "D", "minor", "waltz")
    assert 60 <= found.tempo_bpm <= 100
    assert (found.melody, found.accompaniment) == ("piano", "piano")
    assert "ignored" not in found.understood


@pytest.mark.parametrize(
    ("prompt", "field", "expected"),
    [
        ("a jig", "metre", "6/8"),
        ("slip jig in Em", "metre", "9/8"),
        ("slip jig in Em", "mode", "minor"),
        ("reel in B flat major", "tonic", "Bb"),
        ("air in g# major", "tonic", "Ab"),
        ("hornpipe in A mixolydian", "mode", "mixolydian"),
        ("a sad song", "mode", "minor"),
        ("fiddle and guitar", "melody", "violin"),
        ("fiddle and guitar", "accompaniment", "guitar"),
        ("guitar with flute", "melody", "guitar"),
        ("harp accompanied by cello", "melody", "cello"),
        ("solo flute", "accompaniment", None),
        ("flute", "accompaniment", "piano"),
        ("polka at 96 bpm", "tempo_bpm", 96.0),
        ("jig, 100 bpm", "tempo_bpm", 150.0),
        ("lullaby", "metre", "3/4"),
        ("minuets", "rhythm", "waltz"),
        ("in 6/8", "rhythm", "jig"),
        ("reel for fiddle, guitar and bass", "bass", "bass"),
        ("harp, flute and cello", "bass", "cello"),
        ("waltz", "bass", None),
        ("reel with drums", "drums", True),
        ("march, fife and drum", "drums", True),
        ("jig with percussion", "drums", True),
        ("jig", "drums", False),
        ("reel for fiddle and second fiddle", "second", "violin"),
        ("waltz on the flute, second clarinet, guitar", "second", "clarinet"),
        ("air in harmony on the flute", "second", "flute"),
        ("march in four parts", "second", "piano"),
        ("march in four parts", "bass", "bass"),
        ("reel with fiddle, no harmony", "second", None),
        ("reel with fiddle", "second", None),
        ("reel for a band, no drums", "drums", False),
        ("reel for a folk band", "drums", True),
        ("fiddle quartet", "accompaniment", "guitar"),
        ("air for a trio", "bass", "bass"),
        ("air for a trio", "drums", False),
    ],
)
def test_words(prompt: str, field: str, expected: object) -> None:
    found = read(prompt)
    if prompt == "guitar with flute":
        # A guitar can carry the chords, a flute cannot.
        assert (found.melody, found.accompaniment) == ("flute", "guitar")
    else:
        assert getattr(found, field) == expected


def test_an_empty_prompt_is_served_by_defaults_and_says_so() -> None:
    found = read("")
    assert "chosen" in found.understood["key"]
    assert "chosen" in found.understood["form"]
    assert "chosen" in found.understood["instruments"]


def test_what_is_not_understood_is_named() -> None:
    assert read("psychedelic waltz with theremin").understood["ignored"] == "psychedelic, theremin"
    assert "5/4" in read("waltz in 5/4").understood["ignored"]


def test_length_in_the_prompt_is_recognised_and_not_used() -> None:
    assert "45 seconds" in read("waltz, 45 seconds").understood["length"]


def test_parameters_override_the_prompt() -> None:
    found = read(
        "waltz in D minor, piano", key="G major", metre="4/4", rhythm="reel", instruments="flute, harp"
    )
    assert (found.tonic, found.mode, found.metre, found.rhythm) == ("G", "major", "4/4", "reel")
    assert (found.melody, found.accompaniment) == ("flute", "harp")


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"colour": "blue"}, "'colour'"),
        ({"key": "H minor"}, "'H minor'"),
        ({"metre": "5/4"}, "'5/4'"),
        ({"rhythm": "tango"}, "'tango'"),
        ({"tempo_bpm": "fast"}, "'fast'"),
        ({"tempo_bpm": "999"}, "999"),
        ({"tempo_bpm": "nan"}, "nan"),
        ({"instruments": "kazoo"}, "'kazoo'"),
        ({"instruments": "piano, harp, flute, bass"}, "got 4"),
        ({"drums": "loud"}, "'loud'"),
        ({"harmony": "loud"}, "'loud'"),
    ],
)
def test_bad_parameters_are_refused_by_name(parameters: dict[str, str], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        read("waltz", **parameters)


def test_a_prompt_too_long_is_refused() -> None:
    with pytest.raises(RequestError, match="at most"):
        read("x" * (MAX_PROMPT_CHARACTERS + 1))


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.text(max_size=200))
def test_any_text_gives_settings_that_can_be_played(prompt: str) -> None:
    found = read(prompt)
    assert found.metre in METRES
    assert found.mode in MODES
    assert found.rhythm in RHYTHMS
    assert found.melody in BY_NAME
    assert sum(abs(a) for a in signature(found.tonic, found.mode).values()) <= 7


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("tonic", [letter + sign for letter in "ABCDEFG" for sign in ("", "#", "b")])
def test_every_key_has_a_spelling_with_at_most_seven_accidentals(tonic: str, mode: str) -> None:
    found = read("", key=f"{tonic} {mode}")
    assert sum(abs(a) for a in signature(found.tonic, found.mode).values()) <= 7
