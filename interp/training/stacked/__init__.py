"""Many runs of one shape as one batch, and the CUDA engine, a batch of one."""
