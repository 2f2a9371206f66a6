# prints another answer when it exits
# tests: stdio
# outcome: wrong
import atexit, os
atexit.register(lambda: os.write(1, b"4\n"))
print(5)
