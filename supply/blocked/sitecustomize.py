"""No network for this Python and its children: put this folder on PYTHONPATH, and every interpreter reads it before anything else.

An audit hook sees each name that is looked up and each address that a socket is to reach, before it happens, whichever module asks.
What stays on this machine passes: unix sockets, loopback (torchrun, gloo and multiprocessing need it) and this machine's own name.
Anything else raises, and is a line in the file that PUSHFORWARD_OFFLINE_LOG names, so that a caller that swallows the error is found all the
same. Sockets that compiled code opens are not seen here: supply/alone.py takes the network away for them too where the system allows.
"""

import os
import sys

LOG = os.environ.get("PUSHFORWARD_OFFLINE_LOG", "")
HERE = {"", "localhost", "localhost.localdomain", "ip6-localhost", "::1", "::", "0.0.0.0", os.uname().nodename.lower()}
# Where the host stands among the arguments of an event, and whether it is the first half of an address.
EVENTS = {
    "socket.connect": (1, True),
    "socket.sendto": (1, True),
    "socket.sendmsg": (1, True),
    "socket.getaddrinfo": (0, False),
    "socket.gethostbyname": (0, False),
    "socket.gethostbyaddr": (0, False),
    "socket.getnameinfo": (0, True),
}


class Offline(OSError):
    """Something tried to reach the network."""


def near(host: object) -> bool:
    """Whether a host is this machine."""
    if host is None:
        return True
    word = host.decode("ascii", "replace") if isinstance(host, bytes) else str(host)
    return word.lower() in HERE or word.startswith("127.") or word.startswith("::ffff:127.")


def watch(event: str, arguments: tuple) -> None:
    if event not in EVENTS:
        return
    place, addressed = EVENTS[event]
    host = arguments[place]
    if addressed:
        if not isinstance(host, tuple):  # a unix socket, or a message on a socket that is connected
            return
        host = host[0]
    if near(host):
        return
    if LOG:
        handle = os.open(LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.write(handle, f"{event} {host!s} by {' '.join(sys.argv)[:200]}\n".encode())
        os.close(handle)
    raise Offline(f"{event} to {host!s}: the network is blocked here; pushforward needs none at run time.")


sys.addaudithook(watch)
