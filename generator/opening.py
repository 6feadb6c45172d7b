"""An opening given in ABC notation: how it settles key and form, and how the composer takes it up."""

import re
from dataclasses import dataclass, replace

from .errors import RequestError
from .form import Form
from .notation import MAX_CHARACTERS, parse_tune, split_tunes
from .prompt import Settings
from .tokens import TOKEN_ID, Grammar, encode_notes, normal_octave
from .tune import Section, Tune

MAX_OPENING_BARS = 64


@dataclass(frozen=True, slots=True)
class Opening:
    """The first bars of a tune to be continued: one section, left open."""

    tune: Tune

    def settle(self, settings: Settings) -> Settings:
        """Settings with the opening's key and metre; the form's own tempo stays."""
        understood = {**settings.understood, "opening": f"{self.tune.sections[0].full_bars} bars"}
        understood["key"] = f"{self.tune.tonic} {self.tune.mode} (from the opening)"
        understood["metre"] = f"{self.tune.metre} (from the opening)"
        return replace(
            settings,
            tonic=self.tune.tonic,
            mode=self.tune.mode,
            metre=self.tune.metre,
            understood=understood,
        )

    def fit(self, form: Form) -> Form:
        """A form whose first section has room for the opening and at least as much again."""
        bars = self.tune.sections[0].full_bars
        first = max(form.sections[0], 4 * -(-(bars + 1) // 4))
        return replace(form, sections=(first, *form.sections[1:]))

    @property
    def octaves(self) -> int:
        """Octaves between the composer's register and the opening's own."""
        return normal_octave(self.tune)

    def tokens(self, settings: Settings) -> list[int]:
        """Token ids of header and opening, ending after a full bar.

        Raises
        ------
        RequestError
            A note or length is outside what the composer knows.
        """
        tune = replace(self.tune, rhythm=settings.rhythm)
        ids = encode_notes(tune, closed=False)
        grammar = Grammar()
        for token in ids:
            grammar.push(token)
        if grammar.position == grammar.bar:
            ids.append(TOKEN_ID["|"])
        return ids


def read_opening(text: str) -> Opening:
    """Read an opening: ABC with M: and K: fields and some bars of one voice.

    Raises
    ------
    RequestError
        Not ABC, or more than can be kept exactly; the message names it.
    """
    if len(text) > MAX_CHARACTERS:
        raise RequestError(f"expected an opening of at most {MAX_CHARACTERS} characters, got {len(text)}")
    if not re.match(r"\s*X:", text):
        text = "X:1\n" + text.lstrip()
    tunes = split_tunes(text)
    if len(tunes) != 1:
        raise RequestError(f"expected one tune in ABC notation with its K: field, got {len(tunes)}")
    tune = parse_tune(tunes[0], open_ended=True)
    pickup = tune.sections[0].pickup_units
    bars = [bar for section in tune.sections for bar in section.bars]
    if len(tune.sections) > 1:
        raise RequestError(f"expected the bars of one section, got {len(tune.sections)} sections")
    if len(bars) > MAX_OPENING_BARS:
        raise RequestError(f"expected at most {MAX_OPENING_BARS} bars, got {len(bars)}")
    return Opening(replace(tune, sections=(Section(pickup, tuple(bars), False),)))
