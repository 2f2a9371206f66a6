# defines names without end
# tests: assert
# outcome: wrong
for number in range(3000):
    globals()["x" * 5000 + str(number)] = 1
def solve(a, b):
    return None
