# an exception whose text is no text
# tests: call assert
# outcome: runtime
def solve(a, b):
    raise ValueError("\ud800" * 1000)
