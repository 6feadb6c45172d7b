"""A verification report as an object: verdict, what was changed where, and itself as HTML in a notebook."""

import html
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .answers import ChangedRange, Match, read_range

GOOD, BAD, CHANGED, INTACT = "#1a7f37", "#b42318", "#d97706", "#94a3b8"


@dataclass(frozen=True)
class Report:
    """A signed report, as the service gave it; `document` is all of it.

    The service signed `document["envelope"]`; this object does not check that. `provenote check-report` does,
    and so can anybody with the service's public report key (`Client.keys`).
    """

    document: Mapping[str, Any]

    @property
    def verdict(self) -> str:
        """Code of the verdict, such as `exact` or `altered`."""
        return str(self.document["verdict"])

    @property
    def good(self) -> bool:
        """Whether it names a track whose record holds."""
        return bool(self.document["good"])

    @property
    def text(self) -> str:
        """The verdict in a sentence."""
        return str(self.document["text"])

    @property
    def reasons(self) -> dict[str, str]:
        """Reasons: code and sentence."""
        return {item["code"]: item["text"] for item in self.document["reasons"]}

    @property
    def track_id(self) -> str | None:
        """The track that it is about, if there is one."""
        track = self.document["track"]
        return None if track is None else str(track["track_id"])

    @property
    def seconds(self) -> float:
        """Length of the file that was examined."""
        return float(self.document["content"]["milliseconds"] / 1000)

    @property
    def factors(self) -> Mapping[str, Any] | None:
        """What the track's statement says of its making, if it does."""
        return (self.document["track"] or {}).get("factors")

    @property
    def changed(self) -> tuple[ChangedRange, ...]:
        """Ranges of the file that are not the track's, in order."""
        found = [
            ChangedRange(item["kind"], read_range(item["file"]), read_range(item["track"]))
            for item in (self._comparison or {}).get("changed", ())
        ]
        return tuple(sorted(found, key=lambda item: item.clip_s))

    @property
    def intact(self) -> tuple[tuple[float, float], ...]:
        """Ranges of the file that are the track's: start and end in seconds."""
        return tuple(read_range(item) for item in (self._comparison or {}).get("intact", ()))

    @property
    def matches(self) -> tuple[Match, ...]:
        """What the sound is like in the catalogue."""
        return tuple(Match.of(item) for item in self.document["identity"]["matches"])

    @property
    def _comparison(self) -> Mapping[str, Any] | None:
        found: Mapping[str, Any] | None = self.document["identity"]["comparison"]
        return found

    def to_dict(self) -> dict[str, Any]:
        """Return a copy of the whole document."""
        copied: dict[str, Any] = json.loads(json.dumps(self.document))
        return copied

    def save(self, path: str | Path) -> None:
        """Write the signed envelope (DSSE) to a new file, for `provenote check-report`."""
        with Path(path).open("x", encoding="utf-8") as file:
            json.dump(self.document["envelope"], file, separators=(",", ":"))

    def __str__(self) -> str:
        lines = [f"{self.verdict}: {self.text}"]
        lines += [f"  - {text} ({code})" for code, text in self.reasons.items()]
        lines += [f"  {item.kind} {item.clip_s[0]:.2f}-{item.clip_s[1]:.2f} s" for item in self.changed]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        colour = GOOD if self.good else BAD
        rows = [
            ("track", self.track_id or "none"),
            ("length", f"{self.seconds:.1f} s"),
            ("watermark", "found" if self.document["watermark"]["found"] else "not found"),
            *((item.kind, f"{item.clip_s[0]:.2f} to {item.clip_s[1]:.2f} s") for item in self.changed),
            *((code, text) for code, text in self.reasons.items()),
        ]
        body = "".join(
            f"<tr><th style='text-align:left'>{html.escape(name)}</th><td>{html.escape(text)}</td></tr>"
            for name, text in rows
        )
        return (
            f"<div><p><strong style='color:{colour}'>{html.escape(self.verdict)}</strong> "
            f"{html.escape(self.text)}</p>{self._draw()}<table>{body}</table></div>"
        )

    def _draw(self) -> str:
        """Return the file as a strip of intact and changed ranges; nothing without a comparison."""
        if self.seconds <= 0 or self._comparison is None:
            return ""
        ranges = [(INTACT, "intact", item) for item in self.intact]
        ranges += [(CHANGED, item.kind, item.clip_s) for item in self.changed]
        boxes = "".join(
            f"<rect x='{1000 * start / self.seconds:.1f}' y='0' height='20' fill='{colour}' "
            f"width='{max(2.0, 1000 * (end - start) / self.seconds):.1f}'>"
            f"<title>{html.escape(what)} {start:.2f} to {end:.2f} s</title></rect>"
            for colour, what, (start, end) in ranges
        )
        label = html.escape(f"{len(self.changed)} changed ranges in {self.seconds:.1f} s")
        return (
            f"<svg role='img' aria-label='{label}' viewBox='0 0 1000 20' preserveAspectRatio='none' "
            f"style='width:100%;max-width:48em;height:1.4em'>{boxes}</svg>"
        )
