# a module under the name of the function
# tests: assert call
# outcome: wrong runtime
import os as solve
