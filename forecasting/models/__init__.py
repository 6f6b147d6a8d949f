"""Forecasting models behind one contract (`base`). Import a model's own module: each brings a heavy library with it.

What those libraries need before they are imported is done here, once.
"""

import os

# Spinning OpenMP threads on busy cores are many times slower than sleeping ones; read when the library is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
