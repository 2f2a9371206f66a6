# `signal.alarm(0)`, SIG_IGN
# tests: stdio
# outcome: timeout
import signal
signal.alarm(0)
for number in range(1, 65):
    try:
        signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError):
        pass
while True:
    pass
