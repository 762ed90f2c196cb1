mod host_device;
mod host_eval;
