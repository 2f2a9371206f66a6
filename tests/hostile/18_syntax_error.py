# does not parse
# tests: call assert stdio
# outcome: compile
def solve(a, b:
    return a + b
