# waits for more input
# tests: stdio_read_on
# outcome: pass
import sys
first = sys.stdin.readline()
rest = sys.stdin.read()
try:
    input()
except EOFError:
    print(sum(map(int, first.split())))
