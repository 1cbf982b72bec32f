"""Storage elsewhere (S3 and all else that fsspec knows): waited for when it is away, listed once, and written to by one driver alone."""
