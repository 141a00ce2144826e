"""What the stages share. Nothing here reads params.yaml, the command line or a path of the pipeline."""

import gc
import os

# Imports and long lists make objects by the hundred thousand, and the collector would look at all of them every 700:
# a fifth of the time of an import. Newer versions of Python wait longer by themselves.
gc.set_threshold(10_000, 10, 10)

# OpenMP's threads spin while they wait for one another, and a stage takes ten times as long as soon as another process
# wants a core; without any spinning, each of thousands of small operations waits for a thread to wake up. So they spin
# some microseconds. Read when torch is loaded, so set before.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "10000")
