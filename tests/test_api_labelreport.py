"""Lines for people about tags and credentials."""

from api.labelevidence import Contradiction, CredentialEvidence, TagEvidence
from api.labelreport import describe_credential, describe_tags, format_credential, format_tags

LIE = Contradiction("artist", "id3", "Somebody Famous", "The Band")


def describe(credential: CredentialEvidence) -> str:
    return describe_credential(format_credential(credential))


def test_each_contradicted_field_has_a_line_of_its_own() -> None:
    tags = TagEvidence("present", count=3, contradicted=(LIE,), confirmed=("isrc", "title"))
    assert describe_tags(format_tags(tags)) == [
        "artist (id3) says 'Somebody Famous', the ledger 'The Band'",
        "3 read; borne out by the ledger: isrc, title",
    ]


def test_what_is_not_there_or_not_read_says_so() -> None:
    assert describe_tags(format_tags(TagEvidence("absent"))) == ["none"]
    assert describe_tags(format_tags(TagEvidence())) == ["not looked for"]
    unreadable = TagEvidence("unreadable", problem="a limit, or a crash")
    assert describe_tags(format_tags(unreadable))[0] == "not all could be read: a limit, or a crash"
    assert describe(CredentialEvidence()) == "not looked for"
    assert describe(CredentialEvidence("absent")) == "none"
    assert describe(CredentialEvidence("absent", expected_id="urn:c2pa:x")).endswith(
        "released with urn:c2pa:x"
    )
    assert "no place" in describe(CredentialEvidence("unsupported"))
    assert describe(CredentialEvidence("unreadable", "cut short")) == "UNREADABLE: cut short"


def test_a_credential_says_whose_it_is_and_whether_the_entry_states_it() -> None:
    ours = CredentialEvidence("trusted", manifest_id="urn:c2pa:x", ours=True, logged=True)
    assert describe(ours) == "trusted, by this ledger; the one that the entry states"
    other = CredentialEvidence("valid", manifest_id="urn:c2pa:x", signer="Stranger", logged=False)
    assert describe(other) == "valid, by Stranger; not the one of the entry"
    lying = CredentialEvidence(
        "valid", contradicted=(Contradiction("digital-source-type", "credential", "a", "b"),)
    )
    assert describe(lying).endswith("digital-source-type says 'a', the ledger 'b'")
    broken = CredentialEvidence("broken", codes=("assertion.dataHash.mismatch",), other_track=True)
    assert describe(broken) == "BROKEN (assertion.dataHash.mismatch); OF ANOTHER TRACK"


def test_claims_of_a_broken_credential_are_not_shown_as_its_signers_word() -> None:
    shown = format_credential(CredentialEvidence("broken", signer="Somebody", source_type="y"))
    assert (shown["signer"], shown["claims"], shown["time_stamp"]) == (None, None, None)
