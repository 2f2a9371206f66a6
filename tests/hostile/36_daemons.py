# a double fork with `setsid`
# tests: call stdio
# outcome: wrong
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(7777)
    os._exit(0)
def solve(a, b):
    return None
