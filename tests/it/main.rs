mod gradients;
mod host_eval;
mod numeric;
mod plan;
