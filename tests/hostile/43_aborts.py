# `os.abort`
# tests: call stdio
# outcome: runtime
import os
os.abort()
