# an answer nested 900 deep
# tests: call assert list
# outcome: wrong
def solve(a, b):
    x = 3
    for _ in range(900):
        x = [x]
    return x
