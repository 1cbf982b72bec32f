"""Pure NumPy metrics: arrays in, numbers out; float64; no torch, no state, no files."""
