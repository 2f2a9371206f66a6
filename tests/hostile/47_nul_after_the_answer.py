# the answer and a NUL byte
# tests: stdio
# outcome: wrong
print(str(sum(map(int, input().split()))) + "\0")
