# a catastrophic regular expression
# tests: call
# outcome: timeout
import re
def solve(a, b):
    re.match(r"(a+)+$", "a" * 60 + "b")
