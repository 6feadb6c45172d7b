"""One disclosure of how a recording came to be, and the forms that others ask for.

    provenote disclose TRACK --as ddex | c2pa | aigc | json

| form | for whom | what it is |
| --- | --- | --- |
| ddex | distributors, services | `SoundRecording` of DDEX ERN 4.3.2 with `ContainsAI`, a fragment |
| c2pa | makers of manifests | source type, `c2pa.ai-disclosure`, `cawg.training-mining` |
| aigc | services in China | the implicit label of GB 45438-2025 |
| json | everybody else | all of it |

All of them come from one object, so that they cannot contradict each other. The DDEX fragment follows the
order of elements of published ERN 4.3.2 messages; DDEX's licence does not let us carry its schema, so it is
not validated against that here.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

from .declaration import NONE, measure_share
from .errors import RefusedError

ERN_NAMESPACE = "http://ddex.net/xml/ern/432"
MINING_ENTRIES = (
    "cawg.ai_generative_training",
    "cawg.ai_inference",
    "cawg.ai_training",
    "cawg.data_mining",
)
_DDEX_SHARES = {"all": "All", "partly": "Partly", "none": "None"}
_SENTENCES = {
    "all": "This recording was made by a generative system.",
    "partly": "Parts of this recording were made by a generative system.",
    "none": "The issuer declares that no generative system made this recording.",
}


@dataclass(frozen=True)
class Disclosure:
    """What is disclosed of a track.

    `created` is RFC 3339 UTC; `source_type` an IPTC URI or None where nobody declared one; `system`,
    `version` and `model` (names and digests of weights) name the generating system, where we ran it;
    `oversight` is C2PA's word for the share of people; `factors` what is stated of its making
    (`api.factors`); `training_use` one of `settings.TRAINING_USES`.
    """

    track_id: str
    log: str
    provider: str
    created: str
    milliseconds: int
    pcm_sha256: str
    source_type: str | None
    system: str | None = None
    version: str | None = None
    model: str | None = None
    oversight: str | None = None
    factors: Mapping[str, Any] | None = None
    title: str | None = None
    artist: str | None = None
    isrc: str | None = None
    link: str | None = None
    training_use: str = "notAllowed"

    @property
    def share(self) -> str | None:
        """How much a generative model made: `all`, `partly`, `none`, or None for undeclared."""
        return measure_share(self.source_type)

    @property
    def sentence(self) -> str | None:
        """The disclosure in a sentence for people; None where nothing is declared."""
        return None if self.share is None else _SENTENCES[self.share]


def format_json(disclosure: Disclosure) -> dict[str, Any]:
    """Return everything, with null for what is not known."""
    return {
        "track_id": disclosure.track_id,
        "log": disclosure.log,
        "provider": disclosure.provider,
        "created": disclosure.created,
        "milliseconds": disclosure.milliseconds,
        "pcm_sha256": disclosure.pcm_sha256,
        "contains_ai": disclosure.share,
        "digital_source_type": disclosure.source_type,
        "disclosure": disclosure.sentence,
        "system": disclosure.system,
        "version": disclosure.version,
        "model": disclosure.model,
        "human_oversight": disclosure.oversight,
        "factors": None if disclosure.factors is None else dict(disclosure.factors),
        "title": disclosure.title,
        "artist": disclosure.artist,
        "isrc": disclosure.isrc,
        "link": disclosure.link,
        "training_use": disclosure.training_use,
    }


def format_c2pa(disclosure: Disclosure) -> dict[str, Any]:
    """Return what a C2PA 2.4 manifest says of it: the source type, and the assertions that follow from it."""
    _require_declared(disclosure)
    return {"digitalSourceType": disclosure.source_type, "assertions": list_assertions(disclosure)}


def list_assertions(disclosure: Disclosure) -> list[dict[str, Any]]:
    """Return the C2PA assertions of a disclosure: AI disclosure where a model took part, and mining."""
    assertions: list[dict[str, Any]] = []
    if disclosure.share not in (None, NONE):
        data: dict[str, Any] = {"modelType": "c2pa.types.model"}
        if disclosure.system is not None:
            data["modelName"] = " ".join(filter(None, (disclosure.system, disclosure.version)))
        if disclosure.model is not None:
            data["modelIdentifier"] = disclosure.model
        if disclosure.oversight is not None:
            data["contentProfile"] = {"humanOversightLevel": disclosure.oversight}
        assertions.append({"label": "c2pa.ai-disclosure", "data": data})
    entries = {name: {"use": disclosure.training_use} for name in MINING_ENTRIES}
    assertions.append({"label": "cawg.training-mining", "data": {"entries": entries}})
    return assertions


def format_aigc(disclosure: Disclosure) -> dict[str, Any]:
    """Return the implicit label of GB 45438-2025; RefusedError where no model is known to have taken part.

    `ReservedCode1` ties it to the sound: the SHA-256 of the decoded samples.
    """
    _require_declared(disclosure)
    if disclosure.share == NONE:
        raise RefusedError("the label is for generated content: this recording is declared to be none")
    return {
        "AIGC": {
            "Label": "1",
            "ContentProducer": disclosure.provider,
            "ProduceID": disclosure.track_id,
            "ReservedCode1": f"sha256:{disclosure.pcm_sha256}",
            "ContentPropagator": "",
            "PropagateID": "",
            "ReservedCode2": "",
        }
    }


def format_ddex(disclosure: Disclosure) -> str:
    """Return a `SoundRecording` of ERN 4.3.2 as XML text; RefusedError where nothing is declared."""
    _require_declared(disclosure)
    assert disclosure.share is not None
    ElementTree.register_namespace("ern", ERN_NAMESPACE)
    recording = ElementTree.Element("SoundRecording", {"xmlns:ern": ERN_NAMESPACE})

    def add(parent: ElementTree.Element, name: str, text: str | None = None, **attributes: str) -> Any:
        element = ElementTree.SubElement(parent, name, attributes)
        element.text = text
        return element

    add(recording, "ResourceReference", "A1")
    add(recording, "Type", "MusicalWorkSoundRecording")
    edition = add(recording, "SoundRecordingEdition")
    add(edition, "Type", "NonImmersiveEdition")
    ids = add(edition, "ResourceId")
    if disclosure.isrc is not None:
        add(ids, "ISRC", disclosure.isrc)
    add(ids, "ProprietaryId", disclosure.track_id, Namespace=disclosure.log)
    if disclosure.title is not None:
        add(recording, "DisplayTitleText", disclosure.title)
        title = add(recording, "DisplayTitle", ApplicableTerritoryCode="Worldwide")
        add(title, "TitleText", disclosure.title)
    if disclosure.artist is not None:
        add(recording, "DisplayArtistName", disclosure.artist, ApplicableTerritoryCode="Worldwide")
    add(recording, "Duration", _format_duration(disclosure.milliseconds))
    add(recording, "ParentalWarningType", "NoAdviceAvailable")
    add(recording, "ContainsAI", _DDEX_SHARES[disclosure.share])
    ElementTree.indent(recording)
    return ElementTree.tostring(recording, encoding="unicode") + "\n"


def _format_duration(milliseconds: int) -> str:
    """Return an ISO 8601 duration as DDEX writes it: PT3M25S."""
    minutes, seconds = divmod((milliseconds + 500) // 1000, 60)
    hours, minutes = divmod(minutes, 60)
    return f"PT{hours}H{minutes:02d}M{seconds:02d}S"


def _require_declared(disclosure: Disclosure) -> None:
    if disclosure.share is None:
        raise RefusedError(
            f"track {disclosure.track_id}: nothing is declared about how it was made, so there is nothing to "
            "disclose: stamp with --source-type"
        )


def _dump(document: Callable[[Disclosure], dict[str, Any]]) -> Callable[[Disclosure], str]:
    return lambda disclosure: json.dumps(document(disclosure), ensure_ascii=False, indent=2) + "\n"


FORMS: dict[str, Callable[[Disclosure], str]] = {
    "ddex": format_ddex,
    "c2pa": _dump(format_c2pa),
    "aigc": _dump(format_aigc),
    "json": _dump(format_json),
}
"""Every form as text, by the name that `--as` takes."""
