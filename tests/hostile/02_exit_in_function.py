# `sys.exit(0)` within the function
# tests: call assert
# outcome: runtime
import sys
def solve(a, b):
    sys.exit(0)
