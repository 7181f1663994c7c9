"""xs:dateTime as every stack writes it, and as we do."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

from ..errors import VerificationError

_DATETIME = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)?", re.ASCII)


def read_time(text: str | None) -> datetime:
    """An xs:dateTime as aware UTC; a time without a zone is UTC (WSS 1.1, section 10).

    Digits beyond microseconds are cut off (CXF writes nanoseconds), and a leap second is the second before it.

    Raises:
        VerificationError: check "timestamp".
    """
    match = _DATETIME.fullmatch((text or "").strip())
    if match is not None:
        year, month, day, hour, minute, second = (int(group) for group in match.groups()[:6])
        fraction, zone = match.group(7), match.group(8)
        micro = int(fraction[:6].ljust(6, "0")) if fraction else 0
        try:
            moment = datetime(year, month, day, hour, minute, min(second, 59), micro, timezone.utc)
            if zone and zone != "Z":
                shift = timedelta(hours=int(zone[1:3]), minutes=int(zone[4:6]))
                moment = moment - shift if zone[0] == "+" else moment + shift
            return moment
        except (ValueError, OverflowError):
            pass
    raise VerificationError("timestamp", "A time is not an xs:dateTime")


def write_time(moment: datetime) -> str:
    """A time as xs:dateTime in UTC with milliseconds, the form that every stack reads."""
    utc = moment.astimezone(timezone.utc).replace(tzinfo=None)
    return f"{utc.isoformat(timespec='milliseconds')}Z"
