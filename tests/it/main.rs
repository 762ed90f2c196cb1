mod harness;
mod kernels;
