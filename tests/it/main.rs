mod gpu;
mod harness;
mod host_eval;
mod kernels;
mod kernels_index;
mod products;
