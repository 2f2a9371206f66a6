# `process_vm_readv` on the parent
# tests: call
# outcome: tamper
import ctypes, os
ctypes.CDLL(None).process_vm_readv(os.getppid(), None, 0, None, 0, 0)
