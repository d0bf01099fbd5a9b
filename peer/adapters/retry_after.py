"""How long a server asks to wait: the header Retry-After of RFC 9110, in seconds or as a date."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


def seconds_to_wait(header: str | None, date: str | None) -> float | None:
    """Return for how many seconds a server asks to wait, from 0; None if it does not say, or can't be understood.

    Args:
        header: its Retry-After.
        date: its Date: a Retry-After that is a date is counted from it, so that the clocks may differ.
    """
    if header is None:
        return None
    said = header.strip()
    if said.isascii() and said.isdigit():
        return float(said)
    until, now = _date(said), _date(date)
    if until is None:
        return None
    return max(0.0, (until - (now or datetime.now(UTC))).total_seconds())


def _date(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        found = parsedate_to_datetime(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
