mod data;
mod floors;
mod gradients;
mod harness;
mod host_eval;
mod kernels;
mod numeric;
mod plan;
