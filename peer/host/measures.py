"""What operators need of one host, as numbers: which there are, and the form in which a host tells them.

A host counts as it goes and reads no log for this, so to ask costs the same however long it has run.
"""

from typing import NamedTuple

from peer.host.questions import decode, encode

COUNTER, GAUGE = "counter", "gauge"


class Series(NamedTuple):
    """One number, or one for each value of a label."""

    name: str
    """As Prometheus has it, without `ebbtide_`: a counter ends in `_total`."""
    kind: str
    help: str
    label: str = ""
    """What tells several of them apart; empty where there is one."""


SERIES = (
    Series("agents", GAUGE, "Agents of the host, by how they are: up, coming, broken.", "state"),
    Series("steps_total", COUNTER, "Steps that agents have made."),
    Series("steps_undone_total", COUNTER, "Steps that were undone, by whatever undid them."),
    Series("inputs_waiting", GAUGE, "Inputs that wait to be handled, or are being handled."),
    Series("messages_total", COUNTER, "Messages that have left agents, by kind; one sent again counts again.", "kind"),
    Series("rollback_messages_total", COUNTER, "Those of them that are about rollbacks."),
    Series("frames_sent_total", COUNTER, "Frames sent to other hosts."),
    Series("frames_received_total", COUNTER, "Frames taken from other hosts."),
    Series("frames_lost_total", COUNTER, "Frames that were not taken (refused), or not sent (dropped).", "reason"),
    Series("sent_bytes_total", COUNTER, "Bytes of the frames sent."),
    Series("received_bytes_total", COUNTER, "Bytes of the frames taken."),
    Series("connections_cut_total", COUNTER, "Connections of others that were ended because there were too many."),
    Series("effects_total", COUNTER, "Calls of tools, by the state that they have come to.", "state"),
    Series("effects_in_doubt", GAUGE, "Calls of which nobody knows whether they have happened."),
    Series("effects_undoing", GAUGE, "Calls that are to be undone, and are not yet."),
    Series("requests_held", GAUGE, "Requests and rollbacks that wait for people."),
    Series("rollbacks_total", COUNTER, "Rollbacks proposed here that are over, by outcome: commit, abort.", "outcome"),
    Series("rollback_seconds_total", COUNTER, "Seconds that those took, from proposal to the last decision."),
    Series("rollbacks_undecided", GAUGE, "Votes of agents here on rollbacks that are not decided."),
    Series("dead_letters", GAUGE, "Dead letters that nobody has taken up, or dropped."),
    Series("dead_letters_total", COUNTER, "Inputs given up."),
    Series("checkpoint_epoch", GAUGE, "The newest checkpoint known to be committed."),
    Series("checkpoint_timestamp_seconds", GAUGE, "When that was heard of here, since 1970; 0: before this life."),
    Series("hosts", GAUGE, "Hosts with agents, as this one sees them: up, suspect, failed.", "state"),
    Series("log_stalled", GAUGE, "1 while nothing can be written: the disk is full."),
    Series("draining", GAUGE, "1 while the host takes no inputs from outside, being about to leave."),
    Series("log_bytes", GAUGE, "Bytes of the host's logs on disk, without the archive."),
    Series("notices_total", COUNTER, "Lines for whoever audits, by what they notice.", "notice"),
    Series("start_timestamp_seconds", GAUGE, "When this life of the host began, since 1970: its counters begin then."),
)

Measured = dict[str, dict[str, float]]
"""By name of a series, by value of its label (empty where it has none): what it is."""


def told(measured: Measured) -> bytes:
    """Return numbers as an answer."""
    return encode(measured)


def read(answer: bytes) -> Measured:
    """Return the numbers of an answer. Raises: PayloadInvalid."""
    return decode(answer, Measured)
