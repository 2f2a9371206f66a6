# `sleep`
# tests: call assert stdio
# outcome: timeout
import time
def solve(a, b):
    time.sleep(1000)
if __name__ == "__main__":
    solve(1, 2)
