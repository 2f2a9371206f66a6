# blocks all signals
# tests: stdio
# outcome: timeout
import signal, time
signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
time.sleep(1000)
