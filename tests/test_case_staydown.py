"""What an upheld notice named does not come again: as a file, as a mark, as a sound."""

from collections.abc import Iterator
from pathlib import Path

import case_forms
import pytest
from conftest import SAMPLE_RATE, Shell, Stamped, make_free_music, make_music, write_audio

from api import casework
from api.caseintake import accept_case, open_case
from api.casestates import CaseError
from api.errors import RegisteredError, StayDownError
from api.installation import Installation, open_installation
from api.issuing import stamp
from api.notices import Notice
from api.outcomes import BAD, USAGE
from api.reasons import Reasons
from api.resemblance import ResemblancePolicy
from api.settings import read_settings
from api.staydown import find_listed
from api.uploadcheck import check_upload, list_recording

REASONS = Reasons.model_validate(case_forms.REASONS)


@pytest.fixture
def desk(stamped: Stamped) -> Iterator[Installation]:
    with open_installation(read_settings(stamped.home, {})) as installation:
        yield installation


def uphold(desk: Installation, *tracks: str) -> str:
    case_id = open_case(desk, Notice.model_validate(case_forms.NOTICE), tracks=tracks).case_id
    accept_case(desk, case_id)
    casework.decide_case(desk, case_id, "upheld", "infringing", reasons=REASONS)
    return case_id


def test_a_track_that_was_taken_down_is_recognised_and_not_stamped_again(
    desk: Installation, stamped: Stamped, tmp_path: Path
) -> None:
    sound = make_music(20.0, seed=1)[:, 8 * SAMPLE_RATE : 16 * SAMPLE_RATE]
    piece = write_audio(tmp_path / "piece.wav", sound)
    with pytest.raises(RegisteredError):
        stamp(desk, stamped.audio)
    case_id = uphold(desk, stamped.track_id)
    for path in (stamped.audio, stamped.source):
        with pytest.raises(StayDownError, match=case_id):
            stamp(desk, path)
    # Without a mark, in part, and told to allow what sounds like a known recording.
    with pytest.raises(StayDownError) as caught:
        stamp(desk, piece, resemblance=ResemblancePolicy.ALLOW)
    assert (caught.value.case_id, caught.value.track_id) == (case_id, stamped.track_id)
    casework.restore_case(desk, case_id, "mistake")
    assert find_listed(desk, tracks=[stamped.track_id]) == []
    with pytest.raises(RegisteredError):
        stamp(desk, stamped.audio)


def test_a_recording_that_is_not_ours_stays_down_until_it_is_restored(
    desk: Installation, stamped: Stamped, tmp_path: Path
) -> None:
    audio = make_free_music(9.0, seed=5)
    whole = write_audio(tmp_path / "whole.flac", audio)
    part = write_audio(tmp_path / "part.wav", 0.5 * audio[:, SAMPLE_RATE : 8 * SAMPLE_RATE])
    case_id = open_case(desk, Notice.model_validate(case_forms.NOTICE)).case_id
    with pytest.raises(CaseError, match="received"):
        list_recording(desk, case_id, whole)
    accept_case(desk, case_id)
    casework.decide_case(desk, case_id, "upheld", "infringing", reasons=REASONS)
    number = list_recording(desk, case_id, whole)
    (found,) = check_upload(desk, part)
    assert (found.entry.number, found.by) == (number, ("sound",))
    casework.restore_case(desk, case_id, "settled")
    assert find_listed(desk, numbers=[number]) == []
    assert desk.catalogue.rows.find(number) is None


def test_the_commands_of_the_list(shell: Shell, desk: Installation, stamped: Stamped) -> None:
    home = ("--home", stamped.home)
    respondent = desk.vault.add_person()
    for _ in range(2):
        notice = Notice.model_validate(case_forms.NOTICE)
        case_id = open_case(desk, notice, tracks=[stamped.track_id], respondent=respondent).case_id
        accept_case(desk, case_id)
        casework.decide_case(desk, case_id, "upheld", "infringing", reasons=REASONS)
    found = shell.json("case", "check-upload", stamped.audio, *home, code=BAD)
    assert [item["case_id"] for item in found["matches"]][-1] == case_id
    refused = shell.json("case", "list-recording", case_id, stamped.audio, *home, code=USAGE)
    assert stamped.track_id in refused["detail"]
    assert len(shell.json("case", "stay-down", *home)["entries"]) == 2
    repeated = shell.json("case", "repeated", *home)["respondents"]
    assert repeated == [{"person": respondent, "upheld": 2}]
    refused = shell.json("stamp", stamped.source, *home, code=2)
    assert refused["type"].endswith("/stay-down")
