# forks through `posix` and `ctypes`
# tests: call
# outcome: wrong
import ctypes, posix
def solve(a, b):
    for fork in (posix.fork, ctypes.CDLL(None).fork):
        if fork() == 0:
            posix._exit(0)
    return None
