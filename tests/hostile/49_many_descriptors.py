# runs out of descriptors
# tests: call stdio
# outcome: runtime
held = []
while True:
    held.append(open("/dev/null"))
