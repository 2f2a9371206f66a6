# 64 GB at once
# tests: call assert stdio
# outcome: memory
def solve(a, b):
    return bytearray(64 << 30)
if __name__ == "__main__":
    solve(1, 2)
