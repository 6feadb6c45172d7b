"""Erasing a person everywhere: their key, what the ledger committed to, and what cases hold of theirs.

Order: the key is destroyed, so that nothing opens any more; each case says in a signed step which commitments
that was; then the ledger says so for tracks, and the sealed values go (`recording.erase_person`). After a
crash in between, a call goes on: the sealed values, by now noise, still say what was to be said.
"""

from . import casestates as cs
from .casesteps import name_case
from .casewriter import load_steps, take_step
from .deskkey import open_desk_key
from .errors import MissingError
from .installation import Installation
from .recording import Erasure, erase_person

CASE_PREFIX = name_case("")


def forget_person(installation: Installation, person: str, ground: str) -> Erasure:
    """Destroy a person's key, and say in cases and ledger which commitments cannot be opened any more.

    Parameters
    ----------
    installation
        The ledger folder.
    person
        The id that `Vault.add_person` gave; of a case: its `person` or `respondent`.
    ground
        Why, as a code such as `gdpr-17`.

    Raises
    ------
    MissingError
        Nothing is known of such a person.
    ledger.LedgerError
        The key cannot be destroyed, or an event is not taken; call again.
    """
    vault = installation.vault
    if not vault.is_known(person):
        raise MissingError(f"nothing is known of person {person!r:.80}")
    values = [item for item in vault.list_of_person(person) if item.asset.startswith(CASE_PREFIX)]
    vault.destroy_key(person)
    for case_id in sorted({item.asset.removeprefix(CASE_PREFIX) for item in values}):
        gone = {item.commitment for item in values if item.asset == name_case(case_id)}
        steps, _ = load_steps(installation, case_id)
        said = {
            (item["n"], item["label"])
            for step in steps
            if step.step == cs.ERASED
            for item in step.facts["erased"]
        }
        named = [
            {"n": step.n, "label": label}
            for step in steps
            for label, digest in step.commitments.items()
            if digest in gone and (step.n, label) not in said
        ]
        if named:
            facts = {"ground": ground, "erased": named}
            take_step(installation, case_id, cs.ERASED, facts, signing_keys=[open_desk_key(installation)])
    return erase_person(installation, person, ground)
