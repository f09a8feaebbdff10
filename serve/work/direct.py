"""A direct line between two processes of one machine: a question there and an answer back, without the way through Ray.

Ray Serve takes its time for each call (some milliseconds, however little is said), which a picture pays for each of
its tiles. A line is a socket of Linux without a file, so that nothing of it is left when a process dies. Only the
owner of the process that listens is heard, for what is said is unpickled.
"""

from __future__ import annotations

import os
import secrets
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

from isletnet.errors import IsletnetError

_WAITING_N = 64
_CREDENTIALS = struct.Struct("3i")


class LineLostError(Exception):
    """The process at the other end has died, or has let go."""


class Switchboard:
    """Answers those who call this process; each of them has a thread.

    Parameters
    ----------
    answer
        Gives the answer to a question; called by several threads at once. What it raises is raised by the asker if it
        is an error of this package's, and as ``RuntimeError`` otherwise.
    """

    def __init__(self, answer: Callable[[Any], Any]) -> None:
        self._answer = answer
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.address = f"\0isletnet-{secrets.token_hex(16)}"
        self._socket.bind(self.address)
        self._socket.listen(_WAITING_N)
        threading.Thread(target=self._accept, name="switchboard", daemon=True).start()

    def _accept(self) -> None:
        while True:
            caller, _ = self._socket.accept()
            if _is_ours(caller):
                connection = Connection(caller.detach())
                threading.Thread(target=self._serve, args=(connection,), name="line", daemon=True).start()
            else:
                caller.close()

    def _serve(self, connection: Connection) -> None:
        # The asker has gone.
        with connection, suppress(EOFError, OSError):
            while True:
                connection.send(self._answered(connection.recv()))

    def _answered(self, question: Any) -> tuple[bool, Any]:
        try:
            return True, self._answer(question)
        except IsletnetError as error:
            return False, error
        except Exception as error:
            return False, RuntimeError(f"{type(error).__name__}: {error}")


class Line:
    """Asks one process; connections are kept, and several threads may ask at once.

    Parameters
    ----------
    address
        Of a `Switchboard`.

    Raises
    ------
    LineLostError
        Nobody listens there: that process is of another machine, or has died.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._free = [self._opened()]

    def ask(self, question: Any) -> Any:
        """Ask, and wait for the answer.

        Raises
        ------
        LineLostError
            The other end has gone, perhaps in the middle of this question; then ask for another line.
        Exception
            What the other end raised.
        """
        # Another thread may take the last one.
        connection = None
        with suppress(IndexError):
            connection = self._free.pop()
        connection = connection or self._opened()
        try:
            connection.send(question)
            is_good, answer = connection.recv()
        except (EOFError, OSError) as error:
            connection.close()
            raise LineLostError(str(error)) from error
        self._free.append(connection)
        if not is_good:
            raise answer
        return answer

    def _opened(self) -> Connection:
        caller = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            caller.connect(self._address)
        except OSError as error:
            caller.close()
            raise LineLostError(str(error)) from error
        return Connection(caller.detach())


class Shortcut:
    """Finds a line to the only process of a deployment, as often as that is started anew.

    Parameters
    ----------
    address
        Asks it for the address of its switchboard; None where there are several, among which Ray Serve chooses.
    """

    def __init__(self, address: Callable[[], str | None]) -> None:
        self._address = address
        self._line: Line | None = None
        self._is_alone = True

    def ask(self, question: Any) -> Any:
        """Ask over the line; None where there is none, or where the answer is None: then ask by Ray Serve.

        Raises
        ------
        LineLostError
            The other end died meanwhile.
        Exception
            What the other end raised.
        """
        line = self._found()
        if line is None:
            return None
        try:
            answer = line.ask(question)
        except LineLostError:
            # Not the line that another thread has found meanwhile.
            self._line = None if self._line is line else self._line
            raise
        if answer is None:
            self._line, self._is_alone = None, False
        return answer

    def _found(self) -> Line | None:
        if self._line is None and self._is_alone:
            address = self._address()
            self._is_alone = address is not None
            # Of another machine, or dead again.
            with suppress(LineLostError):
                self._line = Line(address) if address else None
        return self._line


def _is_ours(caller: socket.socket) -> bool:
    """Whether a process of the same user is at the other end."""
    _, uid, _ = _CREDENTIALS.unpack(caller.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    return bool(uid == os.getuid())
