# makes more files than its folder holds
# tests: call
# outcome: runtime
import os
def solve(a, b):
    for number in range(10 ** 6):
        os.mkdir(str(number))
    return a + b
