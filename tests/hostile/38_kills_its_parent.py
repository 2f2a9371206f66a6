# kills its parent, and everyone
# tests: call stdio
# outcome: wrong runtime timeout
import os, signal
for pid in (os.getppid(), 1, -1, 0):
    for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGSTOP):
        if pid == 0:
            continue
        try:
            os.kill(pid, number)
        except OSError:
            pass
def solve(a, b):
    return None
