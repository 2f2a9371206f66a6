# raises where the expected output is empty
# tests: empty
# outcome: runtime
raise ValueError
