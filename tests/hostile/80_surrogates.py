# text that is no text
# tests: call stdio
# outcome: wrong runtime
def solve(a, b):
    return "\ud800"
if __name__ == "__main__":
    print("\ud800")
