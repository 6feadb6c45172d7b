"""Trust policies (c2sp.org/tlog-policy): which logs and which witnesses make a checkpoint believable.

    log provenote.example/log+33d7b496+AeHT... https://provenote.example/log
    witness one   witness.example/one+8c0c3a31+BAAB... https://witness.example/one
    witness two   witness.example/two+e6a3ffe2+BtNL... https://witness.example/two
    witness three witness.example/three+47fd91c3+BBhx...
    group majority 2 one two three
    quorum majority

A witness's URL is where checkpoints are submitted (tlog-witness); without one it is only verified.
`quorum none` asks for no witness. Names are opaque bytes, kept here by surrogate escapes.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from .cosignature import Cosigned, Cosigner, open_cosigned, parse_cosigner, parse_verifier
from .errors import FormatError, QuorumError, UnknownKeyError

MAX_POLICY_BYTES = 1 << 20
MAX_LINES = 1000
NONE = "none"
_SPACE = re.compile(r"[ \t]+")


@dataclass(frozen=True)
class KnownLog:
    """A log that the policy accepts: its verifier key (origin is the key's name) and where it is served."""

    origin: str
    vkey: str
    url: str | None


@dataclass(frozen=True)
class Witness:
    """A witness: its name in the policy, its key, and where checkpoints are submitted to it."""

    name: str
    cosigner: Cosigner
    url: str | None


@dataclass(frozen=True)
class Group:
    """A group: it has witnessed what at least `threshold` of its members have witnessed."""

    threshold: int
    members: tuple[str, ...]


@dataclass(frozen=True)
class Policy:
    """A parsed policy; `quorum` names a witness or group, or is None where none is asked for."""

    logs: tuple[KnownLog, ...]
    witnesses: tuple[Witness, ...]
    groups: Mapping[str, Group]
    quorum: str | None

    def is_met(self, vkeys: Collection[str]) -> bool:
        """Tell whether cosignatures by these verifier keys make the quorum."""
        signed = {witness.name for witness in self.witnesses if witness.cosigner.vkey in vkeys}

        def holds(name: str) -> bool:
            group = self.groups.get(name)
            if group is None:
                return name in signed
            return sum(holds(member) for member in group.members) >= group.threshold

        return self.quorum is None or holds(self.quorum)


UNWITNESSED = Policy((), (), {}, None)
"""The policy of a log without witnesses."""


def parse_policy(data: bytes) -> Policy:
    """Parse a policy file.

    Raises
    ------
    FormatError : a line that the specification does not have, a name defined twice or not yet, a key listed
        twice, or no quorum line
    WeakKeyError : an Ed25519 key that two verifiers could read differently
    """
    if len(data) > MAX_POLICY_BYTES or data.count(b"\n") > MAX_LINES:
        raise FormatError(f"policy: expected at most {MAX_POLICY_BYTES} bytes and {MAX_LINES} lines")
    if any((octet < 0x20 and octet not in (0x09, 0x0A)) or octet == 0x7F for octet in data):
        raise FormatError("policy: expected no control character but tab and newline")
    if data and not data.endswith(b"\n"):
        raise FormatError("policy: expected a newline at the end")
    parser = _Parser()
    for number, line in enumerate(data.decode("utf-8", "surrogateescape").split("\n")[:-1], start=1):
        words = [word for word in _SPACE.split(line) if word]
        if words and not words[0].startswith("#"):
            try:
                parser.read_line(words)
            except FormatError as error:
                raise FormatError(f"policy, line {number}: {error}") from error
    if not parser.quorum:
        raise FormatError("policy: expected a quorum line")
    quorum = None if parser.quorum == NONE else parser.quorum
    return Policy(tuple(parser.logs), tuple(parser.witnesses), parser.groups, quorum)


def open_witnessed(note: bytes, policy: Policy) -> Cosigned:
    """Verify a checkpoint against a policy that names its logs.

    Raises
    ------
    UnknownKeyError : signed by none of the policy's logs
    QuorumError : the cosignatures do not make the quorum
    FormatError, BadSignatureError, ProofError : as `open_cosigned`
    """
    cosigners = [witness.cosigner for witness in policy.witnesses]
    for log in policy.logs:
        try:
            cosigned = open_cosigned(note, log.origin, log.vkey, cosigners)
        except UnknownKeyError:
            continue
        check_quorum(cosigned, policy)
        return cosigned
    names = ", ".join(log.origin for log in policy.logs) or "none"
    raise UnknownKeyError(f"checkpoint: expected a signature by a log of the policy ({names})", key_id=names)


def check_quorum(cosigned: Cosigned, policy: Policy) -> None:
    """Raise QuorumError unless the cosignatures of a checkpoint make the policy's quorum."""
    if not policy.is_met({item.vkey for item in cosigned.cosignatures}):
        names = ", ".join(item.name for item in cosigned.cosignatures) or "no witness of the policy"
        raise QuorumError(
            f"checkpoint of size {cosigned.checkpoint.size}: expected the quorum {policy.quorum!r}, "
            f"cosigned by {names}"
        )


class _Parser:
    def __init__(self) -> None:
        self.logs: list[KnownLog] = []
        self.witnesses: list[Witness] = []
        self.groups: dict[str, Group] = {}
        self.quorum = ""
        self._defined: set[str] = set()
        self._members: set[str] = set()
        self._keys: dict[str, set[bytes]] = {"log": set(), "witness": set()}

    def read_line(self, words: list[str]) -> None:
        """Read one line that is neither empty nor a comment."""
        readers = {
            "log": self._read_log,
            "witness": self._read_witness,
            "group": self._read_group,
            "quorum": self._read_quorum,
        }
        reader = readers.get(words[0])
        if reader is None:
            raise FormatError(f"expected log, witness, group or quorum, got {words[0]!r:.40}")
        reader(words[1:])

    def _read_log(self, words: list[str]) -> None:
        if not 1 <= len(words) <= 2:
            raise FormatError("expected `log VKEY [URL]`")
        verifier = parse_verifier(words[0])
        self._add_key("log", verifier.public_key.raw)
        self.logs.append(KnownLog(verifier.name, words[0], words[1] if len(words) > 1 else None))

    def _read_witness(self, words: list[str]) -> None:
        if not 2 <= len(words) <= 3:
            raise FormatError("expected `witness NAME VKEY [URL]`")
        cosigner = parse_cosigner(words[1])
        self._add_key("witness", cosigner.public_key.raw)
        self._define(words[0])
        self.witnesses.append(Witness(words[0], cosigner, words[2] if len(words) > 2 else None))

    def _read_group(self, words: list[str]) -> None:
        if len(words) < 3:
            raise FormatError("expected `group NAME all|any|K MEMBER...`")
        name, rule, *members = words
        for member in members:
            if member not in self._defined or member in self._members:
                raise FormatError(
                    f"expected members defined before and in no other group, got {member!r:.80}"
                )
            self._members.add(member)
        if rule in ("all", "any"):
            threshold = len(members) if rule == "all" else 1
        elif re.fullmatch(r"[1-9][0-9]{0,3}", rule, re.ASCII) and int(rule) <= len(members):
            threshold = int(rule)
        else:
            raise FormatError(f"expected all, any or 1 to {len(members)}, got {rule!r:.40}")
        self._define(name)
        self.groups[name] = Group(threshold, tuple(members))

    def _read_quorum(self, words: list[str]) -> None:
        if len(words) != 1 or self.quorum:
            raise FormatError("expected one line `quorum NAME`")
        if words[0] != NONE and words[0] not in self._defined:
            raise FormatError(f"expected a name defined before, got {words[0]!r:.80}")
        self.quorum = words[0]

    def _define(self, name: str) -> None:
        if name == NONE or name in self._defined:
            raise FormatError(f"expected a new name, got {name!r:.80}")
        self._defined.add(name)

    def _add_key(self, purpose: str, raw: bytes) -> None:
        if raw in self._keys[purpose]:
            raise FormatError(f"expected each {purpose} once, got its key again")
        self._keys[purpose].add(raw)
