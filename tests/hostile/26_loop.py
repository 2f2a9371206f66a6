# `while True`
# tests: call assert stdio
# outcome: timeout
def solve(a, b):
    while True:
        pass
if __name__ == "__main__":
    solve(1, 2)
