"""A process that calls under a shared context: ``python -m tests.service.sharing PKI WSDL PLACE``.

It calls until it is told to end by a line, and prints as JSON how often it called, and what it was told.
"""

from __future__ import annotations

import json
import sys
import threading
from collections import Counter
from pathlib import Path

from tests.peers.our_side import our_client
from tests.unit.conversation.store.user import KEY, open_store


def main(pki: str, wsdl: str, place: str) -> None:
    """Call until the end."""
    told: Counter[str] = Counter()
    done = threading.Event()

    def wait() -> None:
        sys.stdin.readline()
        done.set()

    threading.Thread(target=wait, daemon=True).start()
    store = open_store(place, key=KEY)
    # a key that another process renews ends for calls of this one that are on their way
    with our_client(
        Path(pki), store=store, recover="always", on_event=lambda event: told.update([event.kind])
    ) as sc:
        client, calls = sc.client(wsdl), 0
        while not done.is_set():
            assert client.service.echo(f"call {calls}") == f"call {calls}"
            calls += 1
        (context,) = sc.contexts()
        client.transport.session.close()
    sys.stdout.write(json.dumps({"calls": calls, "context": context.identifier, **told}))


if __name__ == "__main__":
    main(*sys.argv[1:])
