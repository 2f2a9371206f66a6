# writes more than its folder holds
# tests: call
# outcome: wrong runtime
def solve(a, b):
    with open("much", "wb") as file:
        for _ in range(1000):
            file.write(b"x" * (1 << 20))
    return a + b
