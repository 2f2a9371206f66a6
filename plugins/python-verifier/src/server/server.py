# The fork server: see `pspo::sandbox::ForkServer` for its protocol. It is started in the sandbox, with one end of a
# socket as its standard input, imports what programs commonly import, and forks.

import ctypes
import fcntl
import gc
import select
import signal

# Imported once here, so that a program's own import takes no time.
import bisect, copy, datetime, decimal, fractions, functools, heapq, io, itertools, json as _, math  # noqa: E401,F401
import operator, queue, random, re, statistics, string, time, typing  # noqa: E401,F401

CLONE = {"x86_64": 56, "aarch64": 220, "riscv64": 220}[os.uname().machine]
GETPID = {"x86_64": 39, "aarch64": 172, "riscv64": 172}[os.uname().machine]
CLOSE_RANGE = 436
FLAGS = 0x00020000 | 0x08000000 | 0x20000000 | 0x00001000 | signal.SIGCHLD  # NEWNS, NEWIPC, NEWPID, PIDFD

# Not `CDLL`, which lets go of the interpreter's lock: a clone made without it would wait for it.
libc = ctypes.PyDLL(None, use_errno=True)
system_call = libc.syscall
system_call.restype = ctypes.c_long


class SockFprog(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]


# Nothing points to it: a place for a result that no call asks for.
NOWHERE = ctypes.c_long()


def prepare(calls):
    """System calls with their arguments laid out in memory, so that little is left to do when they are made."""
    results = [ctypes.c_long() for _ in calls]
    needed = set()
    prepared = []
    for what, number, arguments, optional in calls:
        words = [ctypes.c_long(number)]
        patches = []
        for argument in arguments:
            if type(argument) is int:
                words.append(ctypes.c_long(argument))
            elif "result" in argument:
                words.append(results[argument["result"]])
                needed.add(argument["result"])
            elif "bytes" in argument:
                data = bytes.fromhex(argument["bytes"])
                buffer = ctypes.create_string_buffer(data, len(data))
                words.append(ctypes.byref(buffer))
                for offset, place in argument["patches"]:
                    patches.append((buffer, offset, offset + 4, results[place]))
                    needed.add(place)
            else:
                data = bytes.fromhex(argument["program"])
                buffer = ctypes.create_string_buffer(data, len(data))
                head = SockFprog(len(data) // 8, ctypes.addressof(buffer))
                head.keep = buffer
                words.append(ctypes.byref(head))
        prepared.append((what, words, optional, patches))
    return [
        (what, words, optional, patches, results[place] if place in needed else NOWHERE)
        for place, (what, words, optional, patches) in enumerate(prepared)
    ]


class Failed(Exception):
    pass


def make(calls):
    """Makes prepared system calls, one after the other."""
    for what, words, optional, patches, result in calls:
        for buffer, begin, end, patch in patches:
            buffer[begin:end] = pack("=i", patch.value)
        result.value = system_call(*words)
        if result.value < 0 and not optional:
            raise Failed(what, ctypes.get_errno())


def main():
    server = socket.socket(fileno=0)
    set_up = json.loads(server.recv(1 << 20))
    room, confine = prepare(set_up["room"]), prepare(set_up["confine"])
    set_stage()
    rehearse()
    gc.collect()
    gc.freeze()
    make(prepare(set_up["server"]))
    server.send(b"R")
    # The programs that run: a descriptor for each, with its process and where to tell how it ended.
    running = {}
    poll = select.poll()
    poll.register(0, select.POLLIN)
    while True:
        for fd, _ in poll.poll():
            if fd != 0:
                poll.unregister(fd)
                tell(*running.pop(fd))
                os.close(fd)
                continue
            message, fds, _, _ = socket.recv_fds(server, 64, 8)
            if not message:
                os._exit(0)
            joins = fds[4 : 4 + message[1]]
            pid, pidfd = clone()
            if pid == 0:
                become_program(message[:1], fds, joins, room, confine)
            if pid < 0:
                server.send(b"E" + os.strerror(ctypes.get_errno()).encode())
            else:
                socket.send_fds(server, [b"K"], [pidfd])
                running[pidfd] = pid, fds[3]
                poll.register(pidfd, select.POLLIN)
            for fd in fds[:3] + fds[4:]:
                os.close(fd)


def set_stage():
    """What a program finds, made once: its streams are over descriptors that are put there when it is forked."""
    for signal_number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(signal_number, signal.SIG_IGN)
    threading.stack_size(8 << 20)
    streams = {"encoding": "utf-8", "errors": "surrogateescape", "closefd": False}
    sys.stdin = sys.__stdin__ = open(0, "r", **streams)
    sys.stdout = sys.__stdout__ = open(1, "w", **streams)
    sys.stderr = sys.__stderr__ = open(2, "w", **{**streams, "errors": "backslashreplace"})
    PRELUDE["__builtins__"] = builtins
    exec(compile(sys.argv.pop(), "prelude.py", "exec", dont_inherit=True), PRELUDE)
    sys.argv = ["program.py"]
    os.environ.pop("LD_BIND_NOW", None)


def rehearse():
    """Does what is done for each program, so that the interpreter has specialized itself for it: a process that it
    forks has less to do, and changes less of the memory that they share."""
    ends = socket.socketpair()
    ours, theirs = (Channel(end.detach()) for end in ends)
    nothing = prepare([["", GETPID, [0, {"result": 0}], False]] * 2)
    for number in range(20):
        make(nothing)
        ours.send({"id": number, "do": "call", "target": "f", "with": [[["x", 0.5, number]], {"more": True}]})
        names = {"__builtins__": builtins}
        exec(compile("def f(x, more):\n    return x\n", "program.py", "exec", dont_inherit=True), names)
        request = theirs.receive()
        theirs.send({"id": request["id"], **perform(request, names, Plain())})
        ours.receive()
    os.close(ours.fd)
    os.close(theirs.fd)


def clone(pidfd=ctypes.c_int(-1)):
    """A copy of this process that is the first in its namespaces; all others there end with it."""
    pid = system_call(ctypes.c_long(CLONE), ctypes.c_long(FLAGS), None, ctypes.byref(pidfd), None, None)
    return pid, pidfd.value


def tell(pid, status):
    """How a program ended, to who started it. Those whom it leaves behind are gone by then."""
    _, wait_status, usage = os.wait4(pid, 0)
    cpu = int((usage.ru_utime + usage.ru_stime) * 1e6)
    try:
        os.write(status, pack("=5q", 1, wait_status, 0, cpu, usage.ru_maxrss))
    except BrokenPipeError:
        pass  # who started it did not wait for its end
    os.close(status)


def close_range(first, last):
    system_call(*(ctypes.c_long(word) for word in (CLOSE_RANGE, first, last, 0)))


def become_program(message, fds, joins, room, confine):
    """Takes the first three descriptors for its own, joins control groups by those behind the fourth, has the others
    as 3 and 4, and gives up the rest."""
    status = fcntl.fcntl(fds[3], fcntl.F_DUPFD_CLOEXEC, 64)
    try:
        for fd in joins:
            os.write(fd, b"0")
        make(room)
        safe = [fcntl.fcntl(fd, fcntl.F_DUPFD, 64) for fd in fds[:3] + fds[4 + len(joins) :]]
        for number, fd in enumerate(safe):
            os.dup2(fd, number, inheritable=number < 3)
        close_range(len(safe), status - 1)
        close_range(status + 1, 0xFFFFFFFF)
        make(confine)
        os.close(status)
    except (Failed, OSError) as error:
        number = error.args[1] if isinstance(error, Failed) else error.errno
        os.write(status, pack("=5q", 2, 1, number, 0, 0))
        os._exit(1)
    control = Channel(3)
    peer = Channel(4) if len(safe) > 4 else None
    (judge if message == b"J" else candidate)(control, peer)
    os._exit(0)


main()
