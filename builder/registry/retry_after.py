"""How long a server wants to be left alone (RFC 9110, 10.2.3)."""

from __future__ import annotations

from time import time

from builder.registry.exchange import Response


def retry_after(response: Response) -> float | None:
    """Seconds that the server wants us to wait (RFC 9110, 10.2.3), None if it does not say.

    A date is compared with the server's own, so that clocks need not agree.
    """
    value = response.headers.get("retry-after", "").strip()
    if value.isdigit():
        return float(value)
    from email.utils import parsedate_to_datetime  # here: a server hardly ever sends a date, and it is slow to import

    try:
        wanted = parsedate_to_datetime(value).timestamp()
        stated = response.headers.get("date")
        now = parsedate_to_datetime(stated).timestamp() if stated else time()
        return max(0.0, wanted - now)
    except (TypeError, ValueError, OverflowError):
        return None
