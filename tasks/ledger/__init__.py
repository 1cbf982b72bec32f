"""What a sweep owes and keeps: `Trial` and its key, which results a trial owes, the share kept after training (GELO).

Both sweeps and analysis import it, so that each of these facts stands once.
"""
