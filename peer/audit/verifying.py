"""Whether all is as it was written that starting from a folder would start: every host, its key and its records."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from peer.audit.logs import check_readable, own_logs
from peer.audit.premises import Premises, Seen
from peer.damage import Finding
from peer.errors import ConfigInvalid, LogCorrupt, LogFailed
from peer.store import reading
from peer.store.findings import Report
from peer.store.outside.keyring import FILE as KEYRING

_NOTHING = Report(0, 0, 0, ())


class Verified(NamedTuple):
    """What was found."""

    hosts: list[tuple[Path, Report]]
    findings: list[Finding]
    """What is wrong beside the hosts' folders: with the list of hosts."""
    notes: list[str]

    @property
    def all_findings(self) -> list[Finding]:
        """All that is wrong, anywhere."""
        return [*self.findings, *(finding for _, report in self.hosts for finding in report.findings)]


def verified(folder: Path, progress: Callable[[int, int], None]) -> Verified:
    """Check a host's folder, or all that belongs to a folder of hosts.

    Raises: ConfigInvalid, if there is no host, another release wrote a log, or the key of an encrypted one is wrong.
    """
    premises = Premises(folder)
    places = [place for place in premises.places if not premises.is_unbegun(place)]
    if not places and not premises.findings:
        raise ConfigInvalid(
            f"{str(folder)!r} holds no log, nor does any folder in it. Nothing was read."
            " Name a host's folder, as in run/host-1, or the folder of all hosts, as in run."
        )
    seen: list[Seen] = []
    for count, place in enumerate(places, 1):
        seen.append(_seen(place, premises.missing(place)))
        progress(count, len(places))
    logs = [one.logs for one in seen if one.logs is not None]
    found = premises.check(seen)
    for finding in reading.check_heads(logs):
        found[finding.file.parent].append(finding)
    notes = [own.note for own in own_logs(logs) if own.note]
    notes += [
        f"{one.place.name}: the last write, of {one.report.torn} bytes, was cut short; it had never been acknowledged"
        for one in seen
        if one.report.torn
    ]
    rows = [
        (one.place, one.report._replace(findings=(*one.report.findings, *found[one.place]))) for one in seen
    ]  # fmt: skip
    return Verified(rows, premises.findings, notes)


def _seen(place: Path, missing: Finding | None) -> Seen:
    if missing is not None:
        return Seen(place, None, _NOTHING._replace(findings=(missing,)))
    try:
        logs = reading.open_logs(place)
        report = reading.verify_logs(logs, check_readable)
    except ConfigInvalid as error:
        if (place / KEYRING).exists():
            raise  # the key was not given, or is another one: nothing is known of any host
        return Seen(place, None, _unopened(place, error))
    except (LogFailed, LogCorrupt, OSError) as error:
        return Seen(place, None, _unopened(place, error))
    return Seen(place, logs, report)


def _unopened(place: Path, error: Exception) -> Report:
    return _NOTHING._replace(findings=(Finding(place / "log", None, None, str(error), ""),))
