# endless standard error
# tests: call stdio
# outcome: output
import sys
while True:
    sys.stderr.write("x" * 1000)
