# a leak
# tests: call stdio
# outcome: memory
def solve(a, b):
    held = []
    while True:
        held.append(bytearray(1 << 20))
if __name__ == "__main__":
    solve(1, 2)
