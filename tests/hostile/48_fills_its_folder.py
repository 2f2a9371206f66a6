# fills its folder
# tests: call
# outcome: wrong runtime
import os
def solve(a, b):
    with open("sparse", "wb") as file:
        file.truncate(1 << 40)
    return a + b
