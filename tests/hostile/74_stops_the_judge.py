# raises what ends a process
# tests: assert
# outcome: runtime wrong
def solve(a, b):
    raise KeyboardInterrupt
