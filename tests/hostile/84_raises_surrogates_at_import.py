# the same before the tests
# tests: call assert
# outcome: runtime
raise ValueError("\ud800")
