# endless output
# tests: call stdio
# outcome: output
while True:
    print("x" * 1000)
