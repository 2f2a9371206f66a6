# a list that holds itself
# tests: call assert list
# outcome: wrong
def solve(a, b):
    x = []
    x.append(x)
    return x
