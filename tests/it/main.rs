mod host_eval;
