# one line of 1 GB
# tests: stdio
# outcome: output memory
import sys
chunk = "x" * (1 << 20)
for _ in range(1000):
    sys.stdout.write(chunk)
