"""A verifier of custody bundles in one file, for an expert who has to say in court what a bundle proves.

    python court_verifier.py bundle.json --log-key KEY [--first-key KEYID] [--witness KEY ... --quorum N]
                                         [--tsa-roots roots.pem]

The file may also be an answer (`answer.json`): what the log says of one asset, file or mark, or that it says
nothing. It carries the bundle of the log's keys, which is checked first.

It needs Python 3.11 or newer and the library `cryptography`, nothing else: no network, no database, and
nothing of the program that made the bundle, of which it is a second, independent reading. The keys after the
options must come from another source than the bundle, such as the publisher's printed statement: without them
the bundle vouches for itself alone, and this program says so.

What is checked, in this order; the first thing that does not hold is named with the entry to blame:

 1. form          the file is canonical JSON (RFC 8785) with the expected members
 2. checkpoint    the log's key has signed origin, size and Merkle root of the log (C2SP signed note)
 3. witnesses     others have signed the same checkpoint, so the log shows everybody one history
 4. inclusion     each entry shown is in the log at its place (RFC 6962/9162 audit path to that root)
 5. signatures    each entry was signed by its actors (DSSE, Ed25519) with keys that the log knew by then
 6. order         the events of the recording are numbers 0, 1, 2 ..., each naming the hash of the one before
 7. rules         nobody did what he had no role for, or what could not follow; revoked keys sign nothing more
 8. completeness  no event of the recording, and no revocation of a key, was left out (anchored map of heads)
 9. openings      texts that were only committed to are the ones that were committed to
10. time          an authority has signed that the log's history existed at a time (RFC 3161)
11. absence       of an answer: the map has the asset, digest or mark (RFC 9381), or has it not
"""

import argparse
import base64
import hashlib
import json
import sys

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding

BASE = "https://provenote.example/"
PAYLOAD_TYPE = "application/vnd.in-toto+json"


class Refused(Exception):
    """The bundle does not prove what it claims: a code, the log index of the entry to blame, and why."""

    def __init__(self, code, message, index=None):
        super().__init__(message)
        self.code, self.index = code, index


def demand(condition, code, message, index=None):
    if not condition:
        raise Refused(code, message, index)


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def from_base64(text, code="form", index=None):
    try:
        data = base64.b64decode(text, validate=True)
    except (ValueError, TypeError) as error:
        raise Refused(code, f"expected base64: {error}", index) from error
    demand(base64.b64encode(data).decode() == text, code, "expected canonical base64", index)
    return data


# --- 1. form: canonical JSON (RFC 8785), without floating-point numbers ----------------------------------


def canonical(value):
    if isinstance(value, dict):
        pairs = sorted(value.items(), key=lambda item: item[0].encode("utf-16-be"))
        return "{" + ",".join(f"{canonical(name)}:{canonical(item)}" for name, item in pairs) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(canonical, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def read_json(data):
    def no_float(text):
        raise ValueError(f"a number that is not whole: {text}")

    def no_twice(pairs):
        if len(dict(pairs)) != len(pairs):
            raise ValueError("a member that is there twice")
        return dict(pairs)

    try:
        value = json.loads(
            data.decode("utf-8"), parse_float=no_float, parse_constant=no_float, object_pairs_hook=no_twice
        )
        demand(canonical(value).encode("utf-8") == data, "form", "expected canonical JSON")
    except (ValueError, RecursionError) as error:
        raise Refused("form", f"expected JSON: {error}") from error
    return value


# --- Ed25519 and the names of keys -----------------------------------------------------------------------

P = 2**255 - 19
SMALL_ORDER_Y = {
    0,
    1,
    P - 1,
    2707385501144840649318225287225658788936804267575313519463743609750303402022,
    55188659117513257062467267217118295137698188065244968500265048394206261417927,
}


def check_signature(raw_key, signature, message):
    """Verify, refusing keys under which anything verifies (points of small order, other spellings)."""
    y = int.from_bytes(raw_key, "little") % 2**255
    if len(raw_key) != 32 or y >= P or y in SMALL_ORDER_Y:
        raise InvalidSignature
    if int.from_bytes(signature[:32], "little") % 2**255 in SMALL_ORDER_Y:
        raise InvalidSignature
    Ed25519PublicKey.from_public_bytes(raw_key).verify(signature, message)


def key_id_of(jwk):
    """RFC 7638 thumbprint: how entries name keys."""
    return base64.urlsafe_b64encode(sha256(canonical(jwk).encode())).rstrip(b"=").decode()


def read_verifier_key(text, types):
    """name+hash+base64(type || key), where hash = SHA-256(name, newline, type, key), 4 bytes."""
    name, found, encoded = [*text.split("+", 2), "", ""][:3]
    material = from_base64(encoded)
    expected = sha256(name.encode(), b"\n", material)[:4]
    demand(found == expected.hex() and material[0] in types, "form", f"not a verifier key: {text[:60]}")
    return name, expected, material[0], material[1:]


# --- 2. and 3. checkpoint and witnesses (C2SP signed-note, tlog-checkpoint, tlog-cosignature) ------------


def open_checkpoint(note, origin, log_key, witness_keys):
    """Return size, root and the names of witnesses whose lines verify."""
    text, _, lines = note.rpartition("\n\n")
    text += "\n"
    fields = text.split("\n")
    demand(len(fields) == 4 and fields[0] == origin, "checkpoint-bad", f"not a checkpoint of {origin}")
    demand(
        fields[1].isdecimal() and str(int(fields[1])) == fields[1], "checkpoint-bad", "size is not decimal"
    )
    size, root = int(fields[1]), from_base64(fields[2], "checkpoint-bad")
    keys = {key[:2]: key for key in (read_verifier_key(text, {4, 6}) for text in witness_keys)}
    log = read_verifier_key(log_key, {1})
    by_log, cosigned = False, []
    for line in lines.splitlines():
        dash, name, encoded = [*line.split(" "), "", ""][:3]
        blob = from_base64(encoded, "checkpoint-bad")
        demand(dash == "—" and len(blob) > 4, "checkpoint-bad", "not a signature line")
        identity, signature = (name, blob[:4]), blob[4:]
        try:
            if identity == log[:2]:
                check_signature(log[3], signature, text.encode())
                by_log = True
            elif identity in keys and name not in cosigned:
                check_cosignature(keys[identity], signature, text, origin, size, root)
                cosigned.append(name)
        except (InvalidSignature, ValueError) as error:
            raise Refused("checkpoint-bad", f"the signature of {name} does not verify") from error
    demand(by_log, "checkpoint-bad", "not signed by the log's key")
    return size, root, cosigned


def check_cosignature(key, signature, text, origin, size, root):
    name, _, kind, raw = key
    time, signature = signature[:8], signature[8:]
    if kind == 4:
        message = f"cosignature/v1\ntime {int.from_bytes(time, 'big')}\n{text}".encode()
        check_signature(raw, signature, message)
    else:
        from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey

        short = [bytes([len(item.encode())]) + item.encode() for item in (name, origin)]
        message = b"subtree/v1\n\0" + short[0] + time + short[1] + bytes(8) + size.to_bytes(8, "big") + root
        MLDSA44PublicKey.from_public_bytes(raw).verify(signature, message)


# --- 4. inclusion (RFC 6962, section 2.1.1) --------------------------------------------------------------


def path_of(index, size):
    """The leaf ranges beside the way from a leaf to the root, from the leaf up."""
    ranges, start, stop = [], 0, size
    while stop - start > 1:
        split = start + (1 << ((stop - start - 1).bit_length() - 1))
        if index < split:
            ranges.append((split, stop))
            stop = split
        else:
            ranges.append((start, split))
            start = split
    return ranges[::-1]


def root_from_path(index, size, leaf, hashes_by_range):
    computed, position = leaf, (index, index + 1)
    for beside in path_of(index, size):
        sibling = hashes_by_range[beside]
        if beside[0] < position[0]:
            computed = sha256(b"\x01", sibling, computed)
        else:
            computed = sha256(b"\x01", computed, sibling)
        position = (min(position[0], beside[0]), max(position[1], beside[1]))
    return computed


def check_growth(old_size, old_root, new_size, new_root, proof):
    """A consistency proof (RFC 9162, section 2.1.4.2): the older tree is the beginning of the newer one."""
    code = "timestamp-bad"
    demand(0 < old_size <= new_size, code, "sizes of the time-stamped history")
    if old_size == new_size:
        demand(not proof and old_root == new_root, code, "another history of the same size")
        return
    proof = ([old_root] if old_size & (old_size - 1) == 0 else []) + proof
    demand(proof, code, "growth proof missing")
    position, last = old_size - 1, new_size - 1
    while position & 1:
        position, last = position >> 1, last >> 1
    old = new = proof[0]
    for sibling in proof[1:]:
        demand(last != 0, code, "growth proof too long")
        if position & 1 or position == last:
            old, new = sha256(b"\x01", sibling, old), sha256(b"\x01", sibling, new)
            while position and not position & 1:
                position, last = position >> 1, last >> 1
        else:
            new = sha256(b"\x01", new, sibling)
        position, last = position >> 1, last >> 1
    demand(last == 0 and old == old_root and new == new_root, code, "the log has not grown from there")


# --- 5. to 7. signatures, order and rules ----------------------------------------------------------------

HOUSE = ({"operator", "issuer", "owner"}, "house")
RIGHTS = {  # event: roles of anybody, roles of the owner's party
    "generated": ({"issuer"}, set()),
    "stamped": ({"issuer"}, set()),
    "signed": ({"issuer"}, set()),
    "delivered": (set(), {"issuer", "owner"}),
    "published": ({"platform"}, {"issuer", "owner"}),
    "licensed": (set(), {"owner"}),
    "transferred": (set(), {"owner"}),
    "notice": ({"platform", "court"}, set()),
    "counter-notice": (set(), {"owner"}),
    "decision": ({"platform", "court"}, set()),
    "revoked": ({"court"}, {"issuer", "owner"}),
    "erased": ({"operator"}, set()),
    "anchored": ({"operator"}, set()),
}
AFTER_REVOCATION = {"stamped", "signed", "delivered", "published", "licensed", "transferred", "revoked"}
UNDER_TAKEDOWN = {"delivered", "published", "licensed"}


class Log:
    """What the entries, read in log order, make of keys and of the recording."""

    def __init__(self, origin, asset):
        self.origin, self.asset = origin, asset
        self.keys = {}  # key id: {"raw", "roles", "party", "added", "retired", "disputed"}
        self.mark_keys = []  # list of (log index, key): they tag marks and sign nothing
        self.heads = {}  # asset: list of (log index, leaf hash)
        self.owner, self.revoked = None, False
        self.notices, self.committed, self.erased = {}, {}, set()
        self.events, self.anchors = [], {}

    def take(self, index, item, leaf):
        payload = item["payload"]
        kind = payload["predicateType"].removeprefix(BASE).removesuffix("/v1")
        predicate = payload["predicate"]
        place, n = predicate["ledger"], predicate["ledger"]["n"]
        asset = place["asset"]
        self.check_place(index, place)
        is_key_event = kind in ("key-added", "key-rotated", "key-revoked")
        demand(is_key_event == (asset == "keys"), "asset-kind", f"{kind} under {asset}", index)
        demand((kind == "anchored") == (asset == "log"), "asset-kind", f"{kind} under {asset}", index)
        added = predicate["key"] if kind in ("key-added", "key-rotated") else None
        signers = self.check_signatures(index, item, added)
        if is_key_event:
            self.change_keys(index, kind, predicate, signers, added)
        else:
            demand(
                kind in RIGHTS, "entry-malformed", f"an event of a kind that nobody defined: {kind}", index
            )
            records = [self.active(signer, index) for signer in signers]
            if kind == "anchored":
                self.check_right(index, kind, records)
                demand(predicate["size"] <= index, "anchor-late", "an anchor speaks of later entries", index)
                self.anchors[index] = (predicate["size"], bytes.fromhex(predicate["heads_root"]))
            elif asset == self.asset:
                self.follow(index, kind, n, predicate, records)
                tagged = any(item["name"] == "mark" for item in payload["subject"])
                needed = self.mark_keys and "mark_id" in predicate.get("commitments", {})
                demand(tagged or not needed, "mark-untagged", "commits to a mark without its tag", index)
        self.heads.setdefault(asset, []).append((index, leaf))
        if asset == self.asset:
            self.events.append((index, kind, predicate.get("time", ""), signers))

    def check_place(self, index, place):
        """The event is the next one of its asset, and was signed for this log and this place."""
        known = place["asset"] in (self.asset, "keys", "log") and place["origin"] == self.origin
        demand(known, "order-broken", f"an event of {place['asset']} in {place['origin']}", index)
        if place["asset"] == "log" != self.asset:
            return
        seen = self.heads.get(place["asset"], [])
        expected = (len(seen), seen[-1][1].hex() if seen else "")
        demand(
            (place["n"], place["prev"]) == expected, "order-broken", f"expected event {expected[0]}", index
        )

    def check_signatures(self, index, item, added):
        """Every signature of the DSSE envelope verifies, by a key of the log or the key being added."""
        payload = canonical(item["payload"]).encode()
        message = b"DSSEv1 %d %b %d %b" % (len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode(), len(payload), payload)
        demand(item["signatures"], "entry-malformed", "no signature", index)
        raws = {key_id: record["raw"] for key_id, record in self.keys.items()}
        if added is not None:
            raws[key_id_of(added)] = base64.urlsafe_b64decode(added["x"] + "=")
        signers = []
        for signature in item["signatures"]:
            demand(signature["keyid"] in raws, "key-unknown", f"key {signature['keyid']} is unknown", index)
            try:
                check_signature(raws[signature["keyid"]], from_base64(signature["sig"]), message)
            except (InvalidSignature, ValueError) as error:
                raise Refused("signature-bad", "a signature does not verify", index) from error
            signers.append(signature["keyid"])
        demand(len(set(signers)) == len(signers), "entry-malformed", "a key signs twice", index)
        return signers

    def active(self, key_id, index):
        record = self.keys.get(key_id)
        demand(record is not None, "key-unknown", f"key {key_id} is unknown", index)
        demand(record["retired"] is None, "key-retired", f"key {key_id} retired before", index)
        return record

    def change_keys(self, index, kind, predicate, signers, added):
        if kind == "key-revoked":
            key_id = predicate["key_id"]
            record = self.keys.get(key_id)
            demand(
                record is not None and not record["revoked"], "key-unknown", "revokes an unknown key", index
            )
            records = [self.active(signer, index) for signer in signers]
            allowed = key_id in signers or any("operator" in item["roles"] for item in records)
            demand(allowed, "role-missing", "revoked by somebody who may not", index)
            record["revoked"], record["disputed"] = True, predicate.get("from")
            record["retired"] = index if record["retired"] is None else record["retired"]
            operators = [item for item in self.keys.values() if "operator" in item["roles"]]
            left = any(item["retired"] is None for item in operators)
            demand(left, "operator-missing", "no operator's key would be left", index)
            return
        key_id = key_id_of(added)
        raw = base64.urlsafe_b64decode(added["x"] + "=")
        known = key_id in self.keys or raw in [key for _, key in self.mark_keys]
        demand(not known, "key-known", "adds a key that is there", index)
        demand(key_id in signers, "key-absent", "the new key does not sign", index)
        others = {signer: self.active(signer, index) for signer in signers if signer != key_id}
        if kind == "key-rotated":
            demand(predicate["replaces"] in others, "key-absent", "the replaced key does not sign", index)
            old = others[predicate["replaces"]]
            old["retired"] = index
            roles, party = old["roles"], old["party"]
        else:
            partial = ("roles" in predicate) != ("party" in predicate)
            demand(not partial, "grant-partial", "roles without a party", index)
            roles, party = (set(predicate["roles"]), predicate["party"]) if "roles" in predicate else HOUSE
            vouched = any("operator" in item["roles"] for item in others.values())
            demand(vouched or not self.keys, "role-missing", "added by nobody who may", index)
        if "mark_key" in predicate:
            may = kind == "key-added" or "operator" in roles
            demand(may, "role-missing", "a mark key by nobody who may", index)
            self.add_mark_key(index, predicate["mark_key"], raw)
        record = {"raw": raw, "roles": roles, "party": party, "added": index}
        self.keys[key_id] = {**record, "retired": None, "disputed": None, "revoked": False}

    def add_mark_key(self, index, jwk, added):
        """What marks are tagged with from here on: a key of the prime-order group that signs nothing."""
        raw = base64.urlsafe_b64decode(jwk["x"] + "=")
        point = decode_point(raw)
        sound = point is not None and encode_point(multiply(L, point)) == NEUTRAL and raw != NEUTRAL
        demand(sound, "entry-malformed", "a mark key of another group", index)
        known = [
            added,
            *(record["raw"] for record in self.keys.values()),
            *(key for _, key in self.mark_keys),
        ]
        demand(raw not in known, "key-known", "adds a mark key that is there", index)
        self.mark_keys.append((index, raw))

    def check_right(self, index, kind, records):
        anybody, own = RIGHTS[kind]
        if any(record["roles"] & anybody for record in records):
            return
        holders = [record for record in records if record["roles"] & own]
        demand(holders, "role-missing", f"{kind} without a signer who may", index)
        demand(any(item["party"] == self.owner for item in holders), "not-owner", f"{kind} by another", index)

    def follow(self, index, kind, n, predicate, records):
        """The state machine: what may follow what."""
        begun = n > 0
        demand(begun or kind in ("generated", "stamped"), "not-begun", f"begins with {kind}", index)
        demand(not (begun and kind == "generated"), "already-begun", "generated a second time", index)
        demand(not (self.revoked and kind in AFTER_REVOCATION), "revoked", f"{kind} after revocation", index)
        down = "upheld" in self.notices.values()
        demand(not (down and kind in UNDER_TAKEDOWN), "taken-down", f"{kind} after an upheld notice", index)
        open_ = {"open", "countered"} & set(self.notices.values())
        demand(not (open_ and kind == "transferred"), "notice-open", "transferred while contested", index)
        if not begun:
            self.owner = next((item["party"] for item in records if "issuer" in item["roles"]), None)
        self.check_right(index, kind, records)
        if kind == "transferred":
            to = predicate["to"]
            taken = any(item["party"] == to and "owner" in item["roles"] for item in records)
            demand(taken, "role-missing", f"{to} has not signed the transfer", index)
            self.owner = to
        elif kind == "notice":
            self.notices[n] = "open"
        elif kind in ("counter-notice", "decision"):
            outcome = predicate.get("outcome", "countered")
            before = self.notices.get(predicate["notice"])
            demand(before is not None, "notice-unknown", "about a notice that is none", index)
            needed = {"countered": {"open", "upheld"}, "restored": {"upheld"}}
            demand(
                before in needed.get(outcome, {"open", "countered"}),
                "notice-closed",
                f"a notice that is {before} becomes {outcome}",
                index,
            )
            if (before, outcome) != ("upheld", "countered"):  # which alone does not put it back
                self.notices[predicate["notice"]] = outcome
        elif kind == "revoked":
            self.revoked = True
        elif kind == "erased":
            for item in predicate["erased"]:
                named = (item["n"], item["label"])
                there = named in self.committed and named not in self.erased
                demand(there, "commitment-unknown", f"erases {named}, which is not there", index)
                self.erased.add(named)
        for label, commitment in predicate.get("commitments", {}).items():
            self.committed[n, label] = commitment

    def status(self):
        states = set(self.notices.values())
        if self.revoked:
            return "revoked"
        return (
            "taken down" if "upheld" in states else "contested" if states & {"open", "countered"} else "valid"
        )


# --- 8. completeness: the anchored map of heads ----------------------------------------------------------


def key_of_asset(asset):
    return sha256(b"provenote/heads/v1/asset\n", asset.encode())


def key_of_digest(digest):
    return sha256(b"provenote/heads/v1/digest\n", digest)


def open_head(proof, key, root, index):
    """Follow the key's bits to the one end that the map's root allows; return (count, head) or (0, None)."""
    prefix = b"provenote/heads/v1/"
    siblings = from_base64(proof["siblings"], "heads-bad", index)
    demand(len(siblings) % 32 == 0 and len(siblings) <= 256 * 32, "heads-bad", "map proof malformed", index)
    depth, end = len(siblings) // 32, proof["end"]
    bits = int.from_bytes(key, "big")
    computed = sha256(prefix, b"empty\n")
    if end is not None:
        end_key = bytes.fromhex(end["key"])
        same = int.from_bytes(end_key, "big") >> (256 - depth) == bits >> (256 - depth)
        demand(same and end["count"] > 0, "heads-bad", "map proof of another key", index)
        count = end["count"].to_bytes(8, "big")
        computed = sha256(prefix, b"leaf\n", end_key, count, bytes.fromhex(end["head"]))
    for number in range(depth):
        sibling = siblings[32 * number : 32 * number + 32]
        right = bits >> (256 - depth + number) & 1
        pair = (sibling, computed) if right else (computed, sibling)
        computed = sha256(prefix, b"node\n", *pair)
    demand(computed == root, "heads-bad", "map proof does not lead to the anchor's root", index)
    return (end["count"], end["head"]) if end is not None and end["key"] == key.hex() else (0, None)


def check_complete(heads, log):
    if heads is None:
        return None
    index = heads["anchor"]
    demand(index in log.anchors, "heads-bad", "the anchor is not shown", index)
    size, root = log.anchors[index]
    for asset, proof in ((log.asset, heads["asset"]), ("keys", heads["keys"])):
        shown = [(at, leaf) for at, leaf in log.heads.get(asset, []) if at < size]
        expected = (len(shown), shown[-1][1].hex() if shown else None)
        last = shown[-1][0] if shown else None
        known = open_head(proof, key_of_asset(asset), root, index)
        demand(known == expected, "history-short", f"{known[0]} events of {asset}, {expected[0]} shown", last)
    return size


# --- 9. openings -----------------------------------------------------------------------------------------


def check_opening(opening, log):
    salt, label = bytes.fromhex(opening["salt"]), opening["label"]
    value = canonical(opening["value"]).encode()
    commitment = sha256(b"provenote/commitment/v1\n", label.encode(), b"\n", salt, value).hex()
    given = {digest for (_, name), digest in log.committed.items() if name == label}
    demand(len(salt) == 32 and commitment in given, "opening-bad", f"{label!r} is not what was committed to")


# --- 10. time-stamps (RFC 3161 tokens: CMS SignedData over a TSTInfo) ------------------------------------

HASHES = {
    "608648016503040201": hashes.SHA256,
    "608648016503040202": hashes.SHA384,
    "608648016503040203": hashes.SHA512,
}


def der(data):
    """Split DER into (tag, content, encoding) of each element."""
    found, at = [], 0
    while at < len(data):
        tag, length, start = data[at], data[at + 1], at + 2
        if length & 0x80:
            start += length & 0x7F
            length = int.from_bytes(data[at + 2 : start], "big")
        demand(start + length <= len(data), "timestamp-bad", "token cut off")
        found.append((tag, data[start : start + length], data[at : start + length]))
        at = start + length
    return found


def check_token(token, text, roots):
    """Return time and authority of a token over this text, if it leads to a trusted certificate."""
    code = "timestamp-bad"
    try:
        signed_data = der(der(der(der(token)[0][1])[1][1])[0][1])
        tst = der(der(signed_data[2][1])[1][1])[0][1]  # the TSTInfo, inside [0] and an OCTET STRING
        info = der(der(tst)[0][1])
        imprint = der(info[2][1])
        demand(imprint[1][1] == hashlib.sha256(text).digest(), code, "the token is for other data")
        certificates = [
            x509.load_der_x509_certificate(item[2])
            for part in signed_data[3:-1]
            if part[0] == 0xA0
            for item in der(part[1])
        ]
        signer = der(der(signed_data[-1][1])[0][1])
        digest = HASHES[der(signer[2][1])[0][1].hex()]()
        attributes = {der(item[1])[0][1].hex(): der(der(item[1])[1][1])[0] for item in der(signer[3][1])}
        hasher = hashes.Hash(digest)
        hasher.update(tst)
        named = attributes["2a864886f70d010904"][1] == hasher.finalize()
        demand(named, code, "the token's attributes name other content")
        issuer, serial = der(signer[1][1])
        certificate = next(
            item
            for item in certificates
            if item.issuer.public_bytes() == issuer[2]
            and item.serial_number == int.from_bytes(serial[1], "big")
        )
        fingerprints = {
            hashlib.new(name, certificate.public_bytes(Encoding.DER)).digest()
            for name in ("sha1", "sha256", "sha384", "sha512")
        }
        ess = attributes.get("2a864886f70d010910022f") or attributes["2a864886f70d010910020c"]
        hashes_named = {item[1] for item in der(der(der(ess[1])[0][1])[0][1]) if item[0] == 4}
        demand(hashes_named & fingerprints, code, "the token names another certificate")
        message, signature = b"\x31" + signer[3][2][1:], signer[5][1]
        key = certificate.public_key()
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, message, padding.PKCS1v15(), digest)
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, message, ec.ECDSA(digest))
        else:
            key.verify(signature, message)
        when = info[4][1].decode("ascii")
        check_chain(certificate, certificates, roots, when)
    except MALFORMED as error:
        raise Refused(code, f"the token does not verify: {error or type(error).__name__}") from error
    return when, certificate.subject.rfc4514_string()


MALFORMED = (
    InvalidSignature,
    ValueError,
    KeyError,
    IndexError,
    StopIteration,
    TypeError,
    x509.DuplicateExtension,
    x509.ExtensionNotFound,
)


def check_chain(certificate, others, roots, when):
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    stamping = [item.dotted_string for item in usage.value] == ["1.3.6.1.5.5.7.3.8"]
    demand(usage.critical and stamping, "timestamp-bad", "not a certificate for time-stamping alone")
    for _ in range(6):
        form = "%Y%m%d%H%M%S"
        valid = (
            certificate.not_valid_before_utc.strftime(form)
            <= when[:14]
            <= certificate.not_valid_after_utc.strftime(form)
        )
        demand(valid, "timestamp-bad", "a certificate was not valid at that time")
        if certificate in roots:
            return
        for issuer in (*roots, *others):
            try:
                certificate.verify_directly_issued_by(issuer)
                if issuer.extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
                    certificate = issuer
                    break
            except MALFORMED:
                continue
        else:
            break
    raise Refused("timestamp-bad", "the token leads to no trusted authority")


# --- 11. answers; a mark's tag is the output of a verifiable random function (RFC 9381, suite 3) ----------

L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
NEUTRAL = b"\x01" + bytes(31)


def decode_point(data):
    """A point of edwards25519 in extended coordinates (RFC 8032, section 5.1.3), or None."""
    number = int.from_bytes(data, "little")
    sign, y = number >> 255, number % 2**255
    u, v = y * y - 1, D * y * y + 1
    x = u * pow(v, 3, P) * pow(u * pow(v, 7, P), (P - 5) // 8, P) % P
    if (v * x * x + u) % P == 0:
        x = x * pow(2, (P - 1) // 4, P) % P
    if len(data) != 32 or y >= P or (v * x * x - u) % P or (x == 0 and sign):
        return None
    x = P - x if x & 1 != sign else x
    return x, y, 1, x * y % P


def encode_point(point):
    inverse = pow(point[2], P - 2, P)
    x, y = point[0] * inverse % P, point[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def add(one, two):
    i, j = (one[1] - one[0]) * (two[1] - two[0]), (one[1] + one[0]) * (two[1] + two[0])
    k, m = 2 * D * one[3] * two[3], 2 * one[2] * two[2]
    e, f, g, h = j - i, m - k, m + k, j + i
    return e * f % P, g * h % P, f * g % P, e * h % P


def multiply(scalar, point):
    result = (0, 1, 1, 0)
    for bit in bin(scalar)[2:]:
        result = add(result, result)
        if bit == "1":
            result = add(result, point)
    return result


def minus(point):
    return -point[0] % P, point[1], point[2], -point[3] % P


def open_tag(mark_key, mark_id, proof):
    """The one tag that a mark's id has under a mark key, if the proof shows that it is (section 5.3)."""
    alpha = b"provenote/mark/v1\n" + mark_id
    for counter in range(256):  # hash to a point of the prime-order group (section 5.4.1.1)
        text = b"\x03\x01" + mark_key + alpha + bytes([counter, 0])
        hashed = decode_point(hashlib.sha512(text).digest()[:32])
        hashed = hashed and multiply(8, hashed)
        if hashed and encode_point(hashed) != NEUTRAL:
            break
    gamma, c, s = decode_point(proof[:32]), proof[32:48], int.from_bytes(proof[48:], "little")
    demand(len(proof) == 80 and gamma and s < L, "tag-bad", "malformed proof of a mark's tag")
    factor = int.from_bytes(c, "little")
    base = decode_point(b"\x58" + 31 * b"\x66")
    u = add(multiply(s, base), multiply(factor, minus(decode_point(mark_key))))
    v = add(multiply(s, hashed), multiply(factor, minus(gamma)))
    text = b"\x03\x02" + mark_key + b"".join(map(encode_point, (hashed, gamma, u, v))) + b"\x00"
    demand(hashlib.sha512(text).digest()[:16] == c, "tag-bad", "a tag that is not the mark's")
    output = hashlib.sha512(b"\x03\x03" + encode_point(multiply(8, gamma)) + b"\x00").digest()
    return sha256(b"provenote/mark-tag/v1\n", output)


def check_answer(answer, log, heads):
    """Return what the map says of the subject, in a line; `log` and `heads` are the checked bundle's."""
    demand(log.asset == "keys", "form", "not the bundle of the log's keys")
    demand(heads is not None, "heads-bad", "no anchored map")
    index = heads["anchor"]
    size, root = log.anchors[index]
    ((kind, value),) = answer["subject"].items()
    since = 0
    if answer["format"] == "provenote-answer/v2":
        demand(kind == "mark" and len(answer) == 4, "form", "not an answer about a mark")
        keys = [(at, raw) for at, raw in log.mark_keys if at < size]
        demand(keys and len(answer["tags"]) == len(keys), "tag-bad", "not a tag for each mark key")
        claims = [
            (tag["proof"], open_tag(raw, from_hex(value, range(1, 33)), from_base64(tag["vrf"])))
            for (_, raw), tag in zip(keys, answer["tags"], strict=True)
        ]
        claims = [(proof, key_of_digest(tag)) for proof, tag in claims]
        since = keys[0][0]
    else:
        demand(kind in ("asset", "sha256") and len(answer) == 4, "form", "not an answer")
        key = key_of_asset(value) if kind == "asset" else key_of_digest(from_hex(value, [32]))
        claims = [(answer["proof"], key)]
    found = [open_head(proof, key, root, index) for proof, key in claims]
    count = sum(item[0] for item in found)
    said = f"{count} events, the last {[head for _, head in found if head][-1]}" if count else "NO event"
    return f"Of {kind} {value}: {said} among the entries {since} to {size - 1}"


def from_hex(text, lengths):
    data = bytes.fromhex(text)
    demand(data.hex() == text and len(data) in lengths, "form", "expected lower-case hex digits")
    return data


# --- the whole -------------------------------------------------------------------------------------------


def check_bundle(data, log_key=None, first_key=None, witness_keys=(), quorum=0, roots=None):
    """Check the bytes of a bundle or answer; return what it proves as lines of text, or raise Refused."""
    bundle = read_json(data)
    demand(isinstance(bundle, dict), "form", "not an object")
    answer = bundle if bundle.get("format") in ("provenote-answer/v1", "provenote-answer/v2") else None
    try:
        bundle = bundle if answer is None else answer["bundle"]
        demand(bundle["format"] == BASE + "bundle/v2", "form", "not a bundle, version 2")
        lines, log = check_members(bundle, log_key, first_key, witness_keys, quorum, roots)
        return lines if answer is None else [check_answer(answer, log, bundle["heads"]), *lines]
    except (KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
        raise Refused("form", f"malformed: {error!r}") from error


def check_members(bundle, log_key, first_key, witness_keys, quorum, roots):
    origin, asset = bundle["origin"], bundle["asset"]
    demand(log_key in (None, bundle["vkey"]), "log-key", "a bundle of another log")
    for text in bundle["witnesses"]:
        read_verifier_key(text, {4, 6})
    keys = witness_keys or bundle["witnesses"]
    size, root, cosigned = open_checkpoint(bundle["checkpoint"], origin, bundle["vkey"], keys)
    demand(len(cosigned) >= quorum, "witness-missing", f"cosigned by {len(cosigned)} of {quorum} witnesses")
    indexes = [item["index"] for item in bundle["entries"]]
    demand(indexes == sorted(set(indexes)) and indexes[-1] < size, "form", "entries out of order")
    ranges = sorted({item for index in indexes for item in path_of(index, size)})
    paths = from_base64(bundle["paths"])
    demand(len(paths) == 32 * len(ranges), "not-in-log", "audit paths of another length")
    by_range = {item: paths[32 * number : 32 * number + 32] for number, item in enumerate(ranges)}
    log = Log(origin, asset)
    for item in bundle["entries"]:
        index = item["index"]
        payload = base64.b64encode(canonical(item["payload"]).encode()).decode()
        entry = {"payload": payload, "payloadType": PAYLOAD_TYPE, "signatures": item["signatures"]}
        leaf = sha256(b"\x00", canonical(entry).encode())
        demand(
            root_from_path(index, size, leaf, by_range) == root,
            "not-in-log",
            "not the entry in the log",
            index,
        )
        log.take(index, item, leaf)
    demand(log.events, "order-broken", f"no event of {asset}")
    first = next(iter(log.keys))
    demand(first_key in (None, first), "untrusted-start", f"the log begins with key {first}", indexes[0])
    whole = check_complete(bundle["heads"], log)
    for opening in bundle["openings"]:
        check_opening(opening, log)
    stamps = []
    for stamp in bundle["timestamps"]:
        growth = from_base64(stamp["growth"], "timestamp-bad")
        proof = [growth[at : at + 32] for at in range(0, len(growth), 32)]
        check_growth(stamp["size"], from_base64(stamp["root"], "timestamp-bad"), size, root, proof)
        text = f"{origin}\n{stamp['size']}\n{stamp['root']}\n".encode()
        found = check_token(from_base64(stamp["token"], "timestamp-bad"), text, roots) if roots else None
        stamps.append((stamp, found))
    lines = report(bundle, log, size, root, cosigned, whole, stamps, log_key, first_key, witness_keys)
    return lines, log


def report(bundle, log, size, root, cosigned, whole, stamps, log_key, first_key, witness_keys):
    lines = [
        f"{'Keys' if log.asset == 'keys' else 'Recording'} {log.asset} in the log {log.origin}",
        f"Log: {size} entries, root {root.hex()}",
        f"Log's key: {bundle['vkey']}" + ("" if log_key else "  (NOT given by you: the bundle's own word)"),
        f"First key: {next(iter(log.keys))}" + ("" if first_key else "  (NOT given by you)"),
        f"Status: {log.status()}, owned by {log.owner}",
    ]
    for index, kind, time, signers in log.events:
        stated = f", stated time {time}" if time else ""
        lines.append(f"  entry {index}: {kind}{stated}, signed by {', '.join(signers)}")
        for signer in signers:
            disputed = log.keys[signer]["disputed"]
            if disputed is not None and index >= disputed:
                lines.append(f"    DISPUTED: key {signer} was revoked for entries from {disputed} on")
    for key_id, record in log.keys.items():
        until = "still valid" if record["retired"] is None else f"until entry {record['retired']}"
        roles = ", ".join(sorted(record["roles"]))
        lines.append(f"  key {key_id} of {record['party']} ({roles}): from entry {record['added']}, {until}")
    for index, raw in log.mark_keys:
        lines.append(f"  mark key {raw.hex()}: from entry {index}")
    if whole is None:
        lines.append("Completeness: NOT PROVEN; later events or revocations may have been left out")
    else:
        lines.append(f"Completeness: all events and key changes among the first {whole} entries are shown")
    claimed = "" if witness_keys else "  (NOT given by you: the bundle's own word)"
    lines.append(f"Witnesses: {', '.join(cosigned) or 'none'}{claimed if cosigned else ''}")
    for opening in bundle["openings"]:
        lines.append(f"Opened: {opening['label']} = {canonical(opening['value'])}")
    for n, label in sorted(log.erased):
        lines.append(f"Erased: {label} of event {n}; its commitment and all proofs stand")
    for stamp, found in stamps:
        said = f"{found[0]} by {found[1]}" if found else "NOT CHECKED (no --tsa-roots)"
        lines.append(f"Time-stamp over the first {stamp['size']} entries: {said}")
    return lines


def main(arguments=None):
    parser = argparse.ArgumentParser(description="Check a custody bundle, or an answer.")
    parser.add_argument("bundle")
    parser.add_argument("--log-key", help="the log's verifier key, from another source than the bundle")
    parser.add_argument("--first-key", help="key id of the first key in the log")
    parser.add_argument(
        "--witness", action="append", default=[], help="a witness's verifier key; may be repeated"
    )
    parser.add_argument("--quorum", type=int, default=0, help="how many of the witnesses must have signed")
    parser.add_argument("--tsa-roots", help="PEM file of trusted time-stamping certificates")
    options = parser.parse_args(arguments)
    with open(options.bundle, "rb") as file:
        data = file.read(4_000_001)
    roots = None
    if options.tsa_roots:
        with open(options.tsa_roots, "rb") as file:
            roots = x509.load_pem_x509_certificates(file.read())
    try:
        lines = check_bundle(data, options.log_key, options.first_key, options.witness, options.quorum, roots)
    except Refused as refusal:
        blamed = "" if refusal.index is None else f", entry {refusal.index}"
        print(f"DOES NOT HOLD ({refusal.code}{blamed}): {refusal}")
        return 1
    print("HOLDS\n" + "\n".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
