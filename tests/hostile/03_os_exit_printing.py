# `os._exit(0)` without an answer
# tests: stdio
# outcome: wrong
import os
os._exit(0)
