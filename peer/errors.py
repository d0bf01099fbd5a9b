"""Errors of the runtime: each says what, which value, whether anything changed, and the remedy.

`CallerError` is the caller's mistake, `PeerError` is bad input from others; what is neither is the world's (a disk, a
port). All take one argument, their text, so that they can cross a process border.
"""

from pathlib import Path


class EbbtideError(Exception):
    """The base of every error that the runtime raises on purpose."""


class CallerError(EbbtideError):
    """The caller's mistake: correct the call and try again."""


class PeerError(EbbtideError):
    """Bad input from others: refused, and nothing changed here."""


class PayloadTooLarge(CallerError):
    """A value that is too big, too deep or too long to be sent or stored."""


class PayloadUnsupported(CallerError):
    """A value of a type that can't be sent or stored."""


class PayloadInvalid(PeerError):
    """Bytes that do not decode: wrong form, over a limit, unknown type tag, wrong fields."""


class FrameInvalid(PeerError):
    """A frame whose form, version, size, addressee or signature is wrong."""


class InputsOutOfOrder(CallerError):
    """Inputs of a source came before others of it: they are taken on in the order of their numbers."""


class InputsDiffer(CallerError):
    """A key, or a number of a source, was used before for other inputs. Nothing was taken on."""


class MailboxFull(EbbtideError):
    """As many inputs wait at an agent as may: hand in the rest later."""


class HostDraining(EbbtideError):
    """An agent's host is about to leave and takes no inputs from outside: hand them in again once the agent has moved.

    Nothing was taken on.
    """


class InputHandled(CallerError):
    """An input that was to be called off has become a step, which the text names: a rollback undoes that."""


class InputUnknown(CallerError):
    """No such input waits at an agent, or runs there, or is among its dead letters."""


class NotEntitled(CallerError):
    """Somebody says what is another's to say, or has not signed it."""


class NotInTier(CallerError):
    """The tier that an agent has does not let it use a tool at all."""


class AgentUnknown(CallerError):
    """No agent of that name is known here."""


class AgentBroken(CallerError):
    """An agent can't start: its class or its options have to be mended before it is launched again."""


class AgentAbsent(CallerError):
    """An agent that is retired, or whose making is undone or does not come: what it is sent is a dead letter (NA-1)."""


class StepUnknown(CallerError):
    """No such step in the agent's log."""


class StepRanAgain(CallerError):
    """A step was undone before, and another step holds its input now, or none ever will. Nothing changed."""


class HandlerMissing(CallerError):
    """An agent was sent a message for which it declares no handler."""


class HandlerTimeout(EbbtideError, TimeoutError):
    """A handler has not returned in its time, and was cut off: a try that has failed."""


class ProcessEnded(EbbtideError):
    """User code has ended the process of its host as often as it may: it is not run again."""


class DeclarationRefused(CallerError):
    """What a class declares of its messages or state would make a rollback, or a later release, wrong."""


class ReadOnly(CallerError):
    """A handler that was declared to read only wanted to do more."""


class Unready(EbbtideError):
    """What a handler needs can't be had now, by no fault of its input: the input waits, and is tried again (ST-8)."""


class NotMade(Unready):
    """The agent is not there: the step that is to make it has not come, or is undone."""


class UndoPending(Unready):
    """An earlier call has to be undone before this one, and its undo does not succeed: both are tried on."""


class VersionUnknown(Unready):
    """A message or a value of a newer version than this release reads: upgrade."""


class MigrationFailed(Unready):
    """A migration raised, or did not make what the class now says."""


class SecretChanged(Unready):
    """A secret can't be loaded, or is not the one that was written."""


class BlobLost(Unready):
    """A value that is kept outside the log is missing there, altered, or can't be read or written."""


class VaultFailed(Unready):
    """The vault can't be read or written, or lacks a key that was never erased."""


class ConfigInvalid(CallerError):
    """A setting, a key file or an address that can't be used as it is."""


class BackendFailed(EbbtideError):
    """What hosts run on can't be reached, or does not start."""


class RollbackTimeout(EbbtideError):
    """A rollback has not been decided in time. It may still be: its outcome stands in the logs, whoever waits."""


class RestoreRefused(EbbtideError):
    """A checkpoint can't be restored, or not everyone agreed to it. Nothing changed."""


class AskTimeout(EbbtideError):
    """A host has not answered in time; what was asked may still be done."""


class EffectInDoubt(EbbtideError):
    """A tool was called and nobody can tell whether it took effect: a person has to look."""


class ToolFailed(EbbtideError):
    """A tool raised, and its check (or its kind) says that nothing happened."""


class ResourceFailed(EbbtideError):
    """What a tool needs open could not be opened, so the tool was not called: the next call tries again."""


class ResultLost(EbbtideError):
    """A tool has done what it does, and what it returned can't be stored: the effect stands, and is undone as any."""


class AddressBusy(EbbtideError):
    """The address to receive at belongs to somebody else."""


class NotUp(EbbtideError):
    """A host is not up yet, or knows too little of the others: it is asked again."""


class LogBusy(EbbtideError):
    """Another process, or another store of this one, holds the log."""


class LogFailed(EbbtideError):
    """The log can't be written (disk full, store closed): nothing more is appended until it is opened anew."""


class LogCorrupt(EbbtideError):
    """A log whose content is not what was written."""

    @classmethod
    def at(cls, file: Path, agent: str | None, number: int | None, what: str) -> "LogCorrupt":
        """Name the place and the remedy.

        Args:
            file: the damaged file.
            agent: whose log; None if the file can't be opened at all.
            number: the first record that is not as written, counted from 1; None as above.
            what: what is wrong, as a clause.
        """
        place = f"{file}" if agent is None else f"{file}, agent {agent}, record {number}"
        return cls(
            f"{place}: {what}. Nothing was changed. Keep a copy of the file, then restore it from a backup,"
            " or, where other hosts keep copies (replicas), start the host with an empty folder: they go on with its"
            " agents."
        )


_BY_NAME = {kind.__name__: kind for kind in tuple(globals().values()) if isinstance(kind, type)}


def named(name: str) -> type[EbbtideError]:
    """Return the class of an error that another process has told by name; the base for one that is not known here."""
    kind = _BY_NAME.get(name, EbbtideError)
    return kind if issubclass(kind, EbbtideError) else EbbtideError
