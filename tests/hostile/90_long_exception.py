# an exception with a very long text
# tests: assert call
# outcome: runtime
def solve(a, b):
    raise ValueError("é" * 3_000_000)
