# recursion with the limit taken off
# tests: stdio
# outcome: runtime memory
import sys
sys.setrecursionlimit(10 ** 9)
def f(x):
    return str(f) + max(map(f, [x]))
f(1)
