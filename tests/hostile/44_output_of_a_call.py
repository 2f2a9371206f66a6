# endless output within the function
# tests: call assert
# outcome: output
def solve(a, b):
    while True:
        print("x" * 1000)
