"""Whose live credentials are: the order of the evidence, and that doubt never has an owner."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failover_oneshot.accounts.ownership import Clues, OwnerEvidence, owner_of

ACCOUNT, FINGERPRINT, IDENTITY = OwnerEvidence.ACCOUNT, OwnerEvidence.FINGERPRINT, OwnerEvidence.IDENTITY
INSTALL, FIRST, NONE = OwnerEvidence.INSTALL, OwnerEvidence.FIRST, OwnerEvidence.NONE
case = pytest.param


@pytest.mark.parametrize(
    ("clues", "owner", "evidence", "suspect"),
    [
        case(Clues(named=("b",), known=("a",), identity=("a",)), "b", ACCOUNT, None, id="the credentials say it"),
        case(Clues(named=("b",), identity=("a",), installed="a"), "b", ACCOUNT, None, id="they outweigh the last swap"),
        case(Clues(named=(), known=("a",), identity=("a",)), None, NONE, None, id="they name a stranger"),
        case(Clues(named=("a", "b"), known=("b",)), "b", FINGERPRINT, None, id="two fit, a store knows the token"),
        case(Clues(named=("a", "b"), identity=("c",)), None, NONE, None, id="two fit, nothing decides"),
        case(Clues(named=("a", "b"), presumed="a"), "a", FINGERPRINT, None, id="two fit, one should be live"),
        case(Clues(known=("b",), identity=("a",)), "b", FINGERPRINT, None, id="the token is known"),
        case(
            Clues(known=("b",), identity=("a",), installed="a"),
            "b",
            FINGERPRINT,
            None,
            id="known, against the last swap",
        ),
        case(Clues(known=("a", "b"), identity=("b",)), "b", FINGERPRINT, None, id="two know it, one is named"),
        case(Clues(known=("a", "b"), presumed="b"), "b", FINGERPRINT, None, id="two know it, one should be live"),
        case(Clues(known=("a", "b"), installed="c"), None, NONE, None, id="two know it"),
        case(Clues(excluded=("a",), known=("a",)), None, NONE, None, id="known for one that it cannot be"),
        case(Clues(identity=("a",)), "a", IDENTITY, None, id="the identity, before any swap"),
        case(Clues(identity=("a",), installed="a"), "a", IDENTITY, None, id="the identity of the last swap"),
        case(Clues(identity=("a",), installed="b"), None, NONE, "b", id="the identity was written back"),
        case(Clues(identity=("a", "b"), installed="b"), "b", IDENTITY, None, id="two fit, one was installed"),
        case(Clues(identity=("a", "b")), None, NONE, None, id="two identities fit"),
        case(
            Clues(excluded=("a",), identity=("a",), installed="b"), None, NONE, "b", id="they contradict the identity"
        ),
        case(Clues(unfinished=True, installed="b", identity=("a",)), "b", INSTALL, None, id="refreshed in an install"),
        case(Clues(unfinished=True, installed="b", known=("a",)), "a", FINGERPRINT, None, id="known in an install"),
        case(Clues(named=("a", "c"), unfinished=True, installed="b"), None, NONE, None, id="named against an install"),
        case(Clues(identity=(), installed="b"), None, NONE, None, id="the identity of a stranger"),
        case(Clues(installed="b"), None, NONE, "b", id="nothing is known"),
        case(Clues(presumed="a", empty=("a",)), "a", FIRST, None, id="the first credentials of an account"),
        case(
            Clues(presumed="a", empty=("a",), identity=("b",)),
            "b",
            IDENTITY,
            None,
            id="not its first: another is named",
        ),
        case(Clues(named=(), presumed="a", empty=("a",)), "a", FIRST, None, id="a new account names itself"),
        case(Clues(bare=True, presumed="a"), "a", INSTALL, None, id="files that name nobody"),
    ],
)
def test_the_owner_and_its_evidence(
    clues: Clues, owner: str | None, evidence: OwnerEvidence, suspect: str | None
) -> None:
    verdict = owner_of(clues)
    assert (verdict.owner, verdict.evidence, verdict.suspect) == (owner, evidence, suspect)
    assert verdict.sentence
    assert (owner or "") in verdict.sentence


NAMES = st.sampled_from(["a", "b", "c"])
SOME = st.lists(NAMES, max_size=3, unique=True).map(tuple)
ANY = st.builds(
    Clues, named=st.none() | SOME, excluded=SOME, known=SOME, identity=st.none() | SOME, installed=st.none() | NAMES,
    unfinished=st.booleans(), presumed=st.none() | NAMES, empty=SOME, bare=st.booleans(),
)  # fmt: skip


@given(ANY)
def test_an_identity_never_decides_against_the_last_swap(clues: Clues) -> None:
    verdict = owner_of(clues)
    if verdict.evidence is IDENTITY and clues.installed is not None:
        assert verdict.owner == clues.installed


@given(ANY)
def test_stronger_evidence_is_never_outweighed(clues: Clues) -> None:
    verdict = owner_of(clues)
    if clues.named is not None and len(clues.named) == 1:
        assert verdict.owner == clues.named[0]
    elif clues.named:
        assert verdict.owner is None or verdict.owner in clues.named or verdict.evidence is FIRST
    elif clues.named is None and verdict.evidence in {IDENTITY, FINGERPRINT}:
        assert verdict.owner not in clues.excluded


@given(ANY)
def test_credentials_have_an_owner_or_a_doubt_never_both(clues: Clues) -> None:
    verdict = owner_of(clues)
    assert verdict.owner is None or verdict.suspect is None
    assert (verdict.owner is None) == (verdict.evidence is NONE)
