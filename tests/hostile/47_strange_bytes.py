# invalid UTF-8, NUL and escape codes
# tests: stdio
# outcome: wrong
import sys
sys.stdout.buffer.write(b"\xff\xfe\x00\x1b[2J3\n")
