mod host_eval;
mod plan;
