mod harness;
mod host_eval;
mod kernels;
mod products;
