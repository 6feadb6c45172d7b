"""Complete forms of casework, which tests take fields away from."""

from typing import Any

NOTICE: dict[str, Any] = {
    "laws": ["dmca", "dsa"],
    "claim": "copyright",
    "claimant": {"name": "Ann Holder", "email": "ann@label.example", "phone": "+1 202 555 0100"},
    "capacity": "owner",
    "work": {"description": "the song 'Morning'", "identifiers": {"isrc": "NLA012600001"}},
    "material": {"description": "a copy", "locations": ["https://example.org/a"]},
    "reasons": "It is our recording from the first bar to the last.",
    "statements": {"good_faith": True, "accurate_under_perjury": True, "bona_fide": True},
    "signature": "Ann Holder",
}
COUNTER_NOTICE: dict[str, Any] = {
    "respondent": {"name": "Bob Player", "postal_address": "1 Road, Town", "phone": "+1 202 555 0101"},
    "material": {"locations": ["https://example.org/a"]},
    "statements": {
        "mistake_under_perjury": True,
        "consent_to_jurisdiction": True,
        "accept_service": True,
    },
    "signature": "Bob Player",
}
REQUEST: dict[str, Any] = {
    "claimant": {"name": "Ann Holder", "email": "ann@label.example"},
    "work": {"description": "the song 'Morning'"},
    "question": "Is the clip built on our song?",
}
COMPLAINT: dict[str, Any] = {"by": "respondent", "reasons": "I wrote it myself, long before."}
REASONS: dict[str, Any] = {
    "measure": "removal",
    "territory": "everywhere",
    "duration": "until restored",
    "facts": "It is the claimant's recording.",
    "source": "notice",
    "automated_detection": True,
    "automated_decision": False,
    "ground": "law",
    "provision": "17 U.S.C. 106(1)",
    "explanation": "It is a copy without licence.",
}
