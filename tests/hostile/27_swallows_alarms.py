# a bare `except` around everything
# tests: call stdio
# outcome: timeout
def solve(a, b):
    while True:
        try:
            while True:
                pass
        except:
            pass
if __name__ == "__main__":
    solve(1, 2)
