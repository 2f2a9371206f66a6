# a leak
# tests: call stdio
# outcome: memory
def solve(a, b):
    held = []
    while True:
        # Not written to: of the limit it is the address space that counts, and pages that are touched may cost all its time.
        held.append(bytes(1 << 20))
if __name__ == "__main__":
    solve(1, 2)
