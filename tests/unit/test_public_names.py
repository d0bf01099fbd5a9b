"""What users import: the names stand, and all that the API can raise or return is among them."""

import inspect
import re
import typing
from pathlib import Path

import msgspec
import pytest

import ebbtide
import peer
from peer import errors
from sims.runs.scenario import preset
from sims.world import World

ROOT = Path(__file__).parents[2]
_NAMES = """
About Access
AddressBusy Agent AgentAbsent AgentBroken AgentSpec AgentUnknown Answer Approval AskTimeout Attached Attempt
BackendFailed Ballots BlobLost Branch Call CalledBefore CallerError Canary CheckpointMade Cluster
Compensation ConfigInvalid Context Costs Counter Cut CutsAnswer DeadLetter DeadLettered DeclarationRefused Difference
Drilled EarlierRun EbbtideError Effect EffectChanged EffectInDoubt EpochsAnswer Erased Finding FrameInvalid Grant
Group HandlerMissing HandlerTimeout Happened Happening Happenings Health Hidden HostChanged HostDraining
Input InputHandled InputUnknown
InputsDiffer InputsOutOfOrder JsonLines KeyKind LeftOut Limits LogBusy LogCorrupt LogFailed MailboxFull Membership
MessageId
MigrationFailed
Missed Moved NotEntitled NotHappened NotInTier NotMade NotUp Notice Noticed Outcome OutcomeRecord Overseer Overturned
PayloadInvalid
PayloadTooLarge PayloadUnsupported PeerError PendingRequest Person Personal Plan PlannedUndo ProcessEnded Profile
Proposal ReadOnly Receipt Refused Rehearsed ResourceFailed Restore RestoreMade RestoreRefused Restored Result
ResultLost Retry RollbackDecided RollbackProposed RollbackRequest RollbackTimeout RolledBack Saga SagaFailed SagaScope
SagaSeen
SecretChanged SentBefore SharedMap SharedSet SharedView Space State Status Step StepCall StepId StepMade StepRanAgain
StepRead StepRecord StepSent StepUnknown Steps StepsAnswer Storage Tier TiersAnswer Tool ToolFailed UndoPending Unknown
Unready VaultFailed VersionUnknown View Vote Wanted amend_with answers ask_person bulky derived drill every forward
handles hashed migrates narrower precondition secret tool versioned
"""
NAMES = _NAMES.split()
INNER = {
    "Host",
    "Tracked",
    "Spaces",
    "Schema",
    "OutputDraft",
    "RollbackDraft",
    "ArchiveTerm",
    "Open",
    "Origin",
    "Ruling",
    "Terms",
    "Condition",
    "Marked",
    "Previews",
    "Hold",
    "Licence",
}
"""What a public object holds for the runtime's own use."""


def test_the_names_are_pinned():
    assert sorted(ebbtide.__all__) == sorted(peer.__all__) == NAMES
    assert all(getattr(ebbtide, name) is getattr(peer, name) for name in NAMES)


def test_every_error_is_there():
    raised = {name for name, kind in vars(errors).items() if inspect.isclass(kind) and issubclass(kind, Exception)}
    assert raised <= set(NAMES)
    documented = set()
    for path in (ROOT / "peer").rglob("*.py"):
        for text in re.findall(r"Raises: ([^\n]+)", path.read_text(encoding="utf-8")):
            documented |= set(re.findall(r"\b[A-Z]\w+\b", text)) & set(vars(errors))
    assert {"StepUnknown", "AskTimeout", "LogFailed"} <= documented <= set(NAMES)


def ours(kind):
    """Return the classes of the runtime that a type is made of."""
    if inspect.isclass(kind) and kind.__module__.split(".")[0] in ("peer", "protocol"):
        yield kind
    for part in typing.get_args(kind):
        yield from ours(part)


def returned():
    """Return every class that a public method, property or field of a public class gives away, with the place."""
    for name in NAMES:
        kind = getattr(ebbtide, name)
        if not inspect.isclass(kind) or issubclass(kind, Exception):
            if inspect.isfunction(kind):
                yield from ((found, name) for found in ours(typing.get_type_hints(kind).get("return")))
            continue
        inherited = [base for base in kind.__mro__ if base.__module__.split(".")[0] in ("peer", "protocol")]
        for part, value in [item for base in inherited for item in vars(base).items()]:
            function = value.fget if isinstance(value, property) else value
            if part.startswith("_") or not inspect.isroutine(getattr(function, "__func__", function)):
                continue
            hints = typing.get_type_hints(getattr(function, "__func__", function))
            yield from ((found, f"{name}.{part}") for found in ours(hints.get("return")))
        # Fields of the protocol's own records are explained in docs/export.md.
        if kind.__module__.startswith("peer.") and not issubclass(kind, msgspec.Struct):
            for part, hint in typing.get_type_hints(kind, localns={"Key": object}).items():
                if not part.startswith("_"):
                    yield from ((found, f"{name}.{part}") for found in ours(hint))


def test_what_the_api_returns_is_there():
    found = list(returned())
    assert {"Status", "Restored", "SharedView", "Input", "State", "Space"} <= {kind.__name__ for kind, _ in found}
    for kind, place in found:
        bases = {base.__name__ for base in kind.__mro__}
        assert bases & {*NAMES, *INNER}, f"{place} gives away {kind.__module__}.{kind.__name__}"


@pytest.mark.parametrize("name", NAMES)
def test_what_is_public_has_a_docstring(name):
    assert inspect.getdoc(getattr(ebbtide, name))


def test_old_names_are_still_taken():
    with pytest.warns(DeprecationWarning, match=r"replicas=") as told:
        cluster = ebbtide.Cluster("local", buddies=2)
    assert told[0].filename == __file__
    assert cluster._checkpoints == ebbtide.Cluster("local", replicas=2)._checkpoints
    with pytest.warns(DeprecationWarning, match=r"replicas="), World(buddies=1) as world:
        assert world.replicas == 1
    assert preset("heirs", 7) == preset("successors", 7)
    assert preset("heirs", 7).preset == "successors"
