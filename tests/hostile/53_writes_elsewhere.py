# writes to the home folder, `/etc` and the interpreter's folder
# tests: call
# outcome: wrong
import os, sys
def solve(a, b):
    for folder in ("/", "/etc", "/usr", "/root", os.path.dirname(os.__file__), os.path.dirname(sys.executable), "/dev"):
        try:
            with open(os.path.join(folder, "written"), "w"):
                return a + b
        except OSError:
            pass
