//! The `danskin` program; everything is in [`danskin::cli`].

fn main() -> std::process::ExitCode {
    danskin::cli::run()
}
