# a core dump
# tests: stdio
# outcome: runtime
import resource
try:
    resource.setrlimit(resource.RLIMIT_CORE, (1 << 30, 1 << 30))
except ValueError:
    pass
import ctypes
ctypes.string_at(0)
