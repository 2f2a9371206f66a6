# memory that counts as no process's
# tests: call stdio
# outcome: memory runtime
import os
fds = [os.memfd_create("x") for _ in range(30)]
for fd in fds:
    for _ in range(60):
        os.write(fd, b"x" * (1 << 20))
def solve(a, b):
    return None
