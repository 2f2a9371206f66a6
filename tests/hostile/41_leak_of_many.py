# a leak in many processes
# tests: stdio
# outcome: memory timeout
import os
for _ in range(8):
    if os.fork() == 0:
        break
held = []
while True:
    held.append(bytearray(1 << 20))
