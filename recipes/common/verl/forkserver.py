"""Ray's worker processes as forks of one that has imported torch already (as multiprocessing's forkserver does it).

    start(socket)                             this process forks; the fork serves at `socket` until this process ends
    python forkserver.py SOCKET SCRIPT ARGS   has the server fork once more; that fork runs SCRIPT in this one's place

The second line is what Ray calls for `python` (runtime_env's py_executable). A stage has seven such processes, each
with 5 seconds of imports: on two cores a rehearsal of 6 steps takes 26 s with this and 41 s without. Not for CUDA,
which does not survive a fork, and only with modules that start no threads. It imports the standard library alone.
"""

import array
import json
import os
import random
import runpy
import select
import signal
import socket
import sys
import traceback
from pathlib import Path

DESCRIPTORS = 3
"""stdin, stdout, stderr go along with a request."""


def start(path: Path) -> None:
    """The server runs; it ends when this process does."""
    alive, ours = os.pipe()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen(64)
    if os.fork() == 0:
        os.close(ours)
        serve(listener, alive)
    os.close(alive)
    listener.close()


def command(path: Path) -> str:
    """What Ray is to call in place of the interpreter."""
    return f"{sys.executable} -S -E {Path(__file__)} {path}"


def serve(listener: socket.socket, alive: int) -> None:
    """Forks for every request until the other end of the pipe `alive` is closed."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the forks
    while True:
        ready, _, _ = select.select([listener, alive], [], [])
        if alive in ready:
            os._exit(0)
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            os.close(alive)
            become(connection)
        connection.close()


def become(connection: socket.socket) -> None:
    """This process runs the script that the request names, in the asking process's place, and ends."""
    descriptors = array.array("i")
    size = DESCRIPTORS * descriptors.itemsize
    data, control, _, _ = connection.recvmsg(1 << 20, socket.CMSG_SPACE(size))
    descriptors.frombytes(control[0][2][:size])
    while not data.endswith(b"\n"):
        data += connection.recv(1 << 20)
    request = json.loads(data)
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
        os.close(descriptor)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.setpgid(0, 0)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    random.seed()
    sys.argv = request["arguments"]
    sys.path[:1] = [os.path.dirname(sys.argv[0]), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    code = 1
    try:
        runpy.run_path(sys.argv[0], run_name="__main__")
        code = 0
    except SystemExit as ending:
        code = ending.code if isinstance(ending.code, int) else int(ending.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def ask(path: str, arguments: list[str]) -> None:
    """Returns when the fork that runs `arguments` has ended."""
    request = {"arguments": arguments, "folder": os.getcwd(), "environment": dict(os.environ)}
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(path)
    data = json.dumps(request).encode() + b"\n"
    rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", range(DESCRIPTORS)))
    sent = connection.sendmsg([data], [rights])
    connection.sendall(data[sent:])
    connection.recv(1)


if __name__ == "__main__":
    ask(sys.argv[1], [argument for argument in sys.argv[2:] if argument != "-u"])
