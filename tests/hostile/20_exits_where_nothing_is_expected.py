# exit status 1 where the expected output is empty
# tests: empty
# outcome: runtime
import os
os._exit(1)
