# a fork bomb
# tests: stdio
# outcome: processes
import os
while True:
    os.fork()
