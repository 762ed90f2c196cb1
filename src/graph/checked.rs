//! Mistakes of a program that builds a graph: a panic with a sentence, or, inside [`checked`], an error with the same one.

use crate::{Error, Result};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

thread_local! {
    static CHECKED: Cell<bool> = const { Cell::new(false) };
}

/// What unwinds out of a checked construction.
struct Refusal(String);

/// Goes on only where the condition holds; says the rest otherwise.
macro_rules! require {
    ($condition:expr, $($sentence:tt)+) => {
        if !$condition {
            $crate::graph::refuse(format!($($sentence)+));
        }
    };
}
pub(crate) use require;

/// Ends the construction of a graph with a sentence.
///
/// # Panics
/// Always; inside [`checked`] the panic is silent and becomes its error.
pub(crate) fn refuse(reason: String) -> ! {
    if CHECKED.get() {
        resume_unwind(Box::new(Refusal(reason)));
    }
    panic!("{reason}");
}

/// Runs a construction; where shapes do not fit, [`Error::Graph`] says which.
///
/// # Errors
/// Those of `build`, and every refusal of the graph it builds.
pub(crate) fn checked<T>(build: impl FnOnce() -> Result<T>) -> Result<T> {
    let before = CHECKED.replace(true);
    let built = catch_unwind(AssertUnwindSafe(build));
    CHECKED.set(before);
    match built {
        Ok(built) => built,
        Err(payload) => match payload.downcast::<Refusal>() {
            Ok(refusal) => Err(Error::Graph(refusal.0)),
            Err(payload) => resume_unwind(payload),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Graph;

    #[test]
    fn shapes_that_do_not_fit_are_errors_inside_and_panics_outside() {
        let wrong = || {
            let graph = Graph::new();
            let product = graph.input("a", [2, 3]).matmul(graph.input("b", [4, 5]));
            Ok(product.dim(0))
        };
        assert_eq!(
            checked(wrong).unwrap_err().to_string(),
            "graph: matmul of [2,3] (transposed: false) and [4,5] (transposed: false): inner extents differ"
        );
        let missing = || Ok(Graph::new().input("a", [2, 3]).dim(3));
        assert_eq!(checked(missing).unwrap_err().to_string(), "graph: a tensor of shape [2,3] has no axis 3");
        assert!(catch_unwind(|| wrong().is_ok()).is_err());
        assert_eq!(checked(|| Ok(Graph::new().input("a", [2, 3]).dim(1))).unwrap(), 3);
    }
}
