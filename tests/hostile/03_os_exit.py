# `os._exit(0)` at import
# tests: call assert
# outcome: wrong
import os
os._exit(0)
