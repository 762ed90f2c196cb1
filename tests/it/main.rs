mod gpu;
mod harness;
mod host_device;
mod host_eval;
mod kernels;
mod kernels_index;
mod products;
