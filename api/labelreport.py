"""The axes `tags` and `credentials` of a verification report: JSON without floats."""

from typing import Any

from .labelevidence import Contradiction, CredentialEvidence, TagEvidence


def format_tags(tags: TagEvidence) -> dict[str, Any]:
    """Return what is said of the tags; values are shown only where they contradict the entry."""
    return {
        "state": tags.state,
        "problem": tags.problem or None,
        "count": tags.count,
        "contradicted": [_format_contradiction(item) for item in tags.contradicted],
        "confirmed": list(tags.confirmed),
        "unregistered": list(tags.unregistered),
        "claims_track": tags.claims_track,
    }


def format_credential(credential: CredentialEvidence) -> dict[str, Any]:
    """Return what is said of the embedded credential, and which one could be recovered.

    C2PA 2.4, 15.3: what a manifest that does not hold says is not shown as its signer's word. So the claims
    of a broken one are left out; that it contradicts the ledger is said all the same.
    """
    holds = credential.state in ("trusted", "valid", "expired")
    return {
        "state": credential.state,
        "problem": credential.problem or None,
        "manifest_id": credential.manifest_id,
        "sha256": credential.sha256,
        "signer": credential.signer if holds else None,
        "ours": credential.ours,
        "codes": list(credential.codes),
        "time_stamp": credential.stamped_time if holds else None,
        "time_stamp_trusted": credential.stamp_trusted,
        "claims": {
            "log": credential.log,
            "track_id": credential.track_id,
            "digital_source_type": credential.source_type,
            "ingredients": credential.ingredients,
        }
        if holds
        else None,
        "logged": credential.logged,
        "of_other_track": credential.other_track,
        "contradicted": [_format_contradiction(item) for item in credential.contradicted],
        "released_with": credential.expected_id,
    }


def _format_contradiction(item: Contradiction) -> dict[str, str]:
    return {"field": item.field, "carrier": item.carrier, "found": item.found, "stated": item.stated}


def describe_credential(credential: Any) -> str:
    """Return a line for people about the report's axis `credential`."""
    state = credential["state"]
    if state == "absent":
        gone = credential["released_with"]
        return "none" if gone is None else f"none; the track was released with {gone}"
    if state in ("unsupported", "not-read"):
        return {"unsupported": "the container has no place for one", "not-read": "not looked for"}[state]
    if state == "unreadable":
        return f"UNREADABLE: {credential['problem']}"
    whose = "by this ledger" if credential["ours"] else f"by {credential['signer'] or 'nobody known'}"
    parts = [f"{state}, {whose}" if state != "broken" else f"BROKEN ({', '.join(credential['codes'])})"]
    if credential["logged"] is not None:
        parts.append("the one that the entry states" if credential["logged"] else "not the one of the entry")
    if credential["of_other_track"]:
        parts.append("OF ANOTHER TRACK")
    parts.extend(_describe_contradiction(item) for item in credential["contradicted"])
    return "; ".join(parts)


def describe_tags(tags: Any) -> list[str]:
    """Return lines for people about the report's axis `tags`: each contradicted field first."""
    lines = [_describe_contradiction(item) for item in tags["contradicted"]]
    if tags["state"] in ("absent", "not-read"):
        return [*lines, "none" if tags["state"] == "absent" else "not looked for"]
    if tags["problem"]:
        lines.append(f"not all could be read: {tags['problem']}")
    confirmed = ", ".join(tags["confirmed"]) or "nothing"
    return [*lines, f"{tags['count']} read; borne out by the ledger: {confirmed}"]


def _describe_contradiction(item: Any) -> str:
    where = "" if item["carrier"] == "credential" else f" ({item['carrier']})"
    return f"{item['field']}{where} says {item['found']!r}, the ledger {item['stated']!r}"
