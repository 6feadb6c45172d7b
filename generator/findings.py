"""What is left of a prompt while its words are recognised one after the other."""

import re
from collections.abc import Mapping


class Findings:
    """The prompt less what was recognised, and what that was taken to mean."""

    def __init__(self, prompt: str) -> None:
        self.rest = prompt
        self.understood: dict[str, str] = {}

    def take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        """First match, cut out of the rest."""
        match = pattern.search(self.rest)
        if match:
            self.rest = self.rest[: match.start()] + " , " + self.rest[match.end() :]
        return match

    def take_word(self, words: Mapping[str, object]) -> str | None:
        """The longest of the words (also in the plural) that stands in the rest, cut out."""
        for word in sorted(words, key=len, reverse=True):
            if self.take(re.compile(rf"\b{re.escape(word)}(?:s|es)?\b", re.IGNORECASE)):
                return word
        return None
