"""One disclosure, every form of it: they agree with each other, with the ledger, and with what others ask."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from conftest import SAMPLE_RATE, Shell, Stamped, make_music

import ledger
from api.audiofile import PcmDigest
from api.custody import check_custody
from api.declaration import (
    SOURCE_TYPES,
    check_credit,
    draw_credits,
    measure_share,
    name_source_type,
    parse_declaration,
    parse_isrc,
    state_declaration,
)
from api.disclosing import disclose_track, find_registration
from api.disclosure import FORMS, Disclosure, format_aigc, format_c2pa, format_ddex, format_json
from api.errors import RefusedError
from api.installation import open_installation
from api.issuing import make_track_id, register
from api.release import name_asset
from api.settings import read_settings
from api.source import Encoding, Source

GENERATED = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
MADE = Disclosure(
    track_id="k3t5mz7qa2xw4hbn",
    log="test.example/log",
    provider="Example Music",
    created="2026-11-25T21:00:00Z",
    milliseconds=205_400,
    pcm_sha256="ab" * 32,
    source_type=GENERATED,
    system="embedded",
    version="1",
    model="composer=sha256:cd",
    oversight="prompt_guided",
    title="Wälzer & <Söhne>",
    artist="Die Bänd",
    isrc="NLA012600001",
    link="https://example.org/v1/tracks/k3t5mz7qa2xw4hbn",
)


def test_the_ddex_fragment_has_the_elements_in_the_order_of_the_standard() -> None:
    recording = ElementTree.fromstring(format_ddex(MADE))
    assert recording.tag == "SoundRecording"
    names = [element.tag for element in recording]
    assert names == [
        "ResourceReference",
        "Type",
        "SoundRecordingEdition",
        "DisplayTitleText",
        "DisplayTitle",
        "DisplayArtistName",
        "Duration",
        "ParentalWarningType",
        "ContainsAI",
    ]
    assert recording.findtext("ContainsAI") == "All"
    assert recording.findtext("SoundRecordingEdition/ResourceId/ISRC") == "NLA012600001"
    assert recording.findtext("DisplayTitle/TitleText") == "Wälzer & <Söhne>"
    assert recording.findtext("Duration") == "PT0H03M25S"


@pytest.mark.parametrize(
    ("term", "share", "ddex"),
    [
        ("trainedAlgorithmicMedia", "all", "All"),
        ("compositeWithTrainedAlgorithmicMedia", "partly", "Partly"),
        ("digitalCapture", "none", "None"),
    ],
)
def test_every_form_says_the_same_of_how_much_was_generated(term: str, share: str, ddex: str) -> None:
    made = replace(MADE, source_type=name_source_type(term))
    assert format_json(made)["contains_ai"] == share
    assert f"<ContainsAI>{ddex}</ContainsAI>" in format_ddex(made)
    labels = [item["label"] for item in format_c2pa(made)["assertions"]]
    assert ("c2pa.ai-disclosure" in labels) is (share != "none")
    if share == "none":
        with pytest.raises(RefusedError, match="declared to be none"):
            format_aigc(made)
    else:
        assert format_aigc(made)["AIGC"]["Label"] == "1"


def test_the_label_of_china_has_all_seven_members_and_names_producer_and_product() -> None:
    label = format_aigc(MADE)["AIGC"]
    assert list(label) == [
        "Label",
        "ContentProducer",
        "ProduceID",
        "ReservedCode1",
        "ContentPropagator",
        "PropagateID",
        "ReservedCode2",
    ]
    assert all(isinstance(value, str) for value in label.values())
    assert (label["ContentProducer"], label["ProduceID"]) == ("Example Music", MADE.track_id)


def test_the_c2pa_form_has_the_fields_of_version_2_4() -> None:
    disclosure, mining = format_c2pa(MADE)["assertions"]
    assert disclosure == {
        "label": "c2pa.ai-disclosure",
        "data": {
            "modelType": "c2pa.types.model",
            "modelName": "embedded 1",
            "modelIdentifier": "composer=sha256:cd",
            "contentProfile": {"humanOversightLevel": "prompt_guided"},
        },
    }
    assert mining["label"] == "cawg.training-mining"
    assert set(mining["data"]["entries"]) == {
        "cawg.ai_generative_training",
        "cawg.ai_inference",
        "cawg.ai_training",
        "cawg.data_mining",
    }
    assert {entry["use"] for entry in mining["data"]["entries"].values()} == {"notAllowed"}


@pytest.mark.parametrize("form", ["ddex", "c2pa", "aigc"])
def test_where_nothing_is_declared_there_is_nothing_to_disclose(form: str) -> None:
    with pytest.raises(RefusedError, match="--source-type"):
        FORMS[form](replace(MADE, source_type=None))


def test_plain_json_says_null_for_what_nobody_declared() -> None:
    document = json.loads(FORMS["json"](replace(MADE, source_type=None, title=None)))
    assert document["contains_ai"] is document["title"] is document["disclosure"] is None


@pytest.mark.parametrize(
    ("text", "plain"), [("NL-A01-26-00001", "NLA012600001"), (" isrc gbayE0000351", "GBAYE0000351")]
)
def test_an_isrc_is_kept_in_its_plain_form(text: str, plain: str) -> None:
    assert parse_isrc(text) == plain


@pytest.mark.parametrize("text", ["", "NLA01260001", "NLA01260000A", "1LA012600001", "NLA0126000011"])
def test_what_is_no_isrc_is_refused(text: str) -> None:
    with pytest.raises(RefusedError, match="isrc"):
        parse_isrc(text)


@pytest.mark.parametrize("text", ["", " ", "a\nb", "x" * 201, "\ud800"])
def test_a_title_is_one_line_of_text(text: str) -> None:
    with pytest.raises(RefusedError, match="title"):
        check_credit(text, "title")


def test_a_source_type_is_a_term_of_the_vocabulary() -> None:
    assert all(measure_share(name_source_type(term)) == share for term, share in SOURCE_TYPES.items())
    assert name_source_type(GENERATED) == GENERATED
    with pytest.raises(RefusedError, match="digitalCapture"):
        name_source_type("madeByAnAngel")


@pytest.fixture(scope="module")
def declared_once(stamped_once: Stamped, tmp_path_factory: pytest.TempPathFactory) -> tuple[Stamped, str]:
    """A ledger with one more track, about which everything is declared; the first has nothing."""
    home = tmp_path_factory.mktemp("declared") / "ledger"
    shutil.copytree(stamped_once.home, home)
    stamped = replace(stamped_once, home=home)
    audio = make_music(14.0, seed=2, channels=1)
    digest = PcmDigest()
    digest.push(audio)
    stated = parse_declaration(
        title="A Song", artist="The Band", isrc="NL-A01-26-00001", source_type="digitalCapture"
    )
    source = Source(
        event=ledger.STAMPED,
        title="A Song",
        sample_rate=SAMPLE_RATE,
        channels=1,
        samples=audio.shape[1],
        blocks=lambda: iter([audio]),
        pcm_sha256=digest.hex(),
        facts=state_declaration(stated),
        credits=draw_credits(stated),
    )
    settings = replace(
        read_settings(stamped.home, {}),
        provider="Example Music",
        public_url="https://example.org",
        training_use="allowed",
    )
    with open_installation(settings) as installation:
        track_id = make_track_id()
        register(installation, source, encoding=Encoding(), track_id=track_id)
    return stamped, track_id


@pytest.fixture
def declared(declared_once: tuple[Stamped, str], tmp_path: Path) -> tuple[Stamped, str]:
    """A copy of it, to change."""
    stamped, track_id = declared_once
    shutil.copytree(stamped.home, tmp_path / "ledger")
    return replace(stamped, home=tmp_path / "ledger"), track_id


def test_what_was_declared_is_disclosed_from_the_proven_entry(declared: tuple[Stamped, str]) -> None:
    stamped, track_id = declared
    with open_installation(read_settings(stamped.home, {})) as installation:
        found = disclose_track(installation, track_id)
        row = installation.registry.get_released(track_id)
    assert (found.title, found.artist, found.isrc) == ("A Song", "The Band", "NLA012600001")
    assert (found.share, found.training_use) == ("none", "allowed")
    # The settings of today do not change what was stated then.
    assert (found.provider, found.link) == ("Example Music", f"https://example.org/v1/tracks/{track_id}")
    assert (found.pcm_sha256, found.created) == (row.pcm_sha256, row.created)


def test_the_ledger_states_the_isrc_and_only_commits_to_title_and_artist(
    declared: tuple[Stamped, str],
) -> None:
    stamped, track_id = declared
    with open_installation(read_settings(stamped.home, {})) as installation:
        custody = check_custody(installation.store, installation.public, name_asset(track_id))
        event = find_registration(custody.events)
        assert event is not None
        text = json.dumps(dict(event.statement.predicate))
        assert "NLA012600001" in text
        assert "A Song" not in text
        assert "The Band" not in text
        assert {"mark_id", "title", "artist"} == set(event.statement.predicate["commitments"])
        bundle = installation.settings.tracks / track_id / "bundle.json"
        opened = ledger.check_bundle(bundle.read_bytes(), vkey=installation.public.vkey).openings
    assert (opened["title"], opened["artist"]) == ("A Song", "The Band")


def test_a_title_changed_in_the_registry_is_not_believed(declared: tuple[Stamped, str]) -> None:
    import pysqlite3.dbapi2 as sqlite

    stamped, track_id = declared
    connection = sqlite.connect(stamped.home / "ledger.db")
    connection.execute("UPDATE track_credit SET value = 'Another' WHERE label = 'artist'")
    connection.commit()
    connection.close()
    with open_installation(read_settings(stamped.home, {})) as installation:
        found = disclose_track(installation, track_id)
    assert (found.title, found.artist) == ("A Song", None)


def test_the_command_writes_each_form(declared: tuple[Stamped, str], shell: Shell, tmp_path: Path) -> None:
    stamped, track_id = declared
    home = ("--home", stamped.home)
    code, text = shell("disclose", track_id, "--as", "ddex", *home)
    assert code == 0
    assert ElementTree.fromstring(text).findtext("ContainsAI") == "None"
    assert shell.json("disclose", track_id, *home)["document"]["isrc"] == "NLA012600001"
    assert shell("disclose", track_id, "--as", "c2pa", "-o", tmp_path / "c2pa.json", *home)[0] == 0
    document = json.loads((tmp_path / "c2pa.json").read_bytes())
    assert document["digitalSourceType"].endswith("/digitalCapture")
    assert shell("disclose", track_id, "--as", "poem", *home)[0] == 2
    assert shell("disclose", "a" * 16, *home)[0] == 2
    assert shell.json("disclose", stamped.track_id, "--as", "aigc", *home, code=2)["detail"].count("declared")
