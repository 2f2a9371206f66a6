# crashes the interpreter
# tests: call assert stdio
# outcome: runtime
import ctypes
def solve(a, b):
    ctypes.string_at(0)
if __name__ == "__main__":
    solve(1, 2)
