# a function whose name looks like the one asked for
# tests: call
# outcome: wrong
def sоlve(a, b):
    return a + b
