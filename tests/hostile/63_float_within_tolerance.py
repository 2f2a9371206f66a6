# a float within the tolerance
# tests: float assert_float
# outcome: pass
def solve(a, b):
    return a / b + 1e-9
