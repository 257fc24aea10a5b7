"""Ctrl-C, or a request to terminate, ends the program within a second, whatever it is doing.

Python turns the signal into ``KeyboardInterrupt`` only between two of its own instructions, which may be a while off
when a compiled function runs or a pool of workers is being closed. So a thread waits for the signal as well, on the
file descriptor that the C-level handler writes to, and ends the process if it has not ended by itself soon after.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import threading
import time

from compgen.files import discard_unfinished

_GRACE_SECONDS = 0.7
_announced = threading.Lock()


def arm() -> None:
    """Watch for Ctrl-C from now on. Does nothing outside the main thread, where signals are not handled."""
    if threading.current_thread() is not threading.main_thread():
        return
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    # The thread owns both ends, so that neither is closed while it waits.
    threading.Thread(target=_watch, args=(reader, writer), name="compgen-interrupt", daemon=True).start()


def announce() -> int:
    """Say one line, once; returns the exit code of an interruption."""
    if _announced.acquire(blocking=False):
        # Not print(): the main thread may hold the stream. A progress bar that had no time to close hid the cursor.
        with contextlib.suppress(OSError):
            os.write(2, b"\x1b[?25hcompgen: interrupted\n" if os.isatty(2) else b"compgen: interrupted\n")
    return 130


def _watch(reader: socket.socket, writer: socket.socket) -> None:
    while not {signal.SIGINT, signal.SIGTERM} & set(reader.recv(64)):
        pass
    time.sleep(_GRACE_SECONDS)
    code = announce()
    if "multiprocessing" in sys.modules:
        import multiprocessing

        for worker in multiprocessing.active_children():
            worker.terminate()
    discard_unfinished()
    os._exit(code)
