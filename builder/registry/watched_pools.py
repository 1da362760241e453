"""Connection pools of the HTTP library whose sockets can be interrupted, and whose answers come in time."""

from __future__ import annotations

import socket
from typing import Any

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from builder.registry.prompt_response import PromptResponse
from builder.registry.sockets import Sockets


def pool_classes(sockets: Sockets) -> dict[str, Any]:
    """The classes of pools by scheme, for a PoolManager's `pool_classes_by_scheme`."""

    class Connection(HTTPConnection):
        response_class = PromptResponse

        def _new_conn(self) -> socket.socket:
            opened = super()._new_conn()
            sockets.add(opened)
            return opened

    class SecureConnection(HTTPSConnection):
        response_class = PromptResponse

        def _new_conn(self) -> socket.socket:
            opened = super()._new_conn()
            sockets.add(opened)
            return opened

        def connect(self) -> None:
            super().connect()
            if isinstance(self.sock, socket.socket):  # TLS has put another one in its place
                sockets.add(self.sock)

    class Pool(HTTPConnectionPool):
        ConnectionCls = Connection

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = SecureConnection

    return {"http": Pool, "https": SecurePool}
