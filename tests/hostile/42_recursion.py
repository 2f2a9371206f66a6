# deep recursion
# tests: call assert stdio
# outcome: runtime
def solve(a, b):
    return solve(a, b)
if __name__ == "__main__":
    solve(1, 2)
