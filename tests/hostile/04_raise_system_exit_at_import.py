# `raise SystemExit` before the tests
# tests: call assert
# outcome: runtime
raise SystemExit
