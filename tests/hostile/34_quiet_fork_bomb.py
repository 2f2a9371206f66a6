# a fork bomb that goes on when it cannot
# tests: stdio
# outcome: processes timeout
import os
while True:
    try:
        os.fork()
    except OSError:
        pass
