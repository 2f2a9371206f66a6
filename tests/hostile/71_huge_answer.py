# an answer of hundreds of megabytes
# tests: call assert
# outcome: wrong output tamper memory timeout
def solve(a, b):
    return "x" * (300 << 20)
