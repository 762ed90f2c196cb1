mod attacks;
mod goldens;
mod gradients;
mod host_eval;
mod losses;
mod models;
mod numeric;
mod penalties;
