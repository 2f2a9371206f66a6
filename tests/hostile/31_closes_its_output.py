# closes its descriptors, then loops
# tests: call assert stdio
# outcome: timeout
import os
def solve(a, b):
    os.closerange(0, 256)
    while True:
        pass
if __name__ == "__main__":
    solve(1, 2)
