# `10**10**8`
# tests: stdio
# outcome: timeout memory
print(10 ** 10 ** 8)
