mod harness;
mod kernels;
mod host_eval;
