//! One source, several vector widths: loops compiled for AVX-512, AVX2 and the portable baseline, chosen at run time.
//!
//! The loops themselves are plain Rust that LLVM vectorises. Products and sums are never contracted into fused
//! operations, so a width changes speed and no result.

/// The widest vectors this machine has.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Level {
    Portable,
    Avx2,
    Avx512,
}

/// The widest vectors this machine has (the standard library caches the answer).
#[cfg(target_arch = "x86_64")]
#[inline]
pub fn level() -> Level {
    let avx512 = is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl");
    if avx512 {
        Level::Avx512
    } else if is_x86_feature_detected!("avx2") {
        Level::Avx2
    } else {
        Level::Portable
    }
}

/// Defines functions over a [`Scalar`](super::Scalar) that are compiled once for each vector width.
macro_rules! multiversion {
    ($($(#[$meta:meta])* $vis:vis fn $name:ident<T: Scalar $(, const $c:ident: usize)?>($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block)*) => {$(
        $(#[$meta])*
        $vis fn $name<T: Scalar $(, const $c: usize)?>($($arg: $ty),*) $(-> $ret)? {
            #[inline(always)]
            fn portable<T: Scalar $(, const $c: usize)?>($($arg: $ty),*) $(-> $ret)? $body
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2")]
                fn avx512<T: Scalar $(, const $c: usize)?>($($arg: $ty),*) $(-> $ret)? {
                    portable::<T $(, $c)?>($($arg),*)
                }
                #[target_feature(enable = "avx2")]
                fn avx2<T: Scalar $(, const $c: usize)?>($($arg: $ty),*) $(-> $ret)? {
                    portable::<T $(, $c)?>($($arg),*)
                }
                match $crate::host::simd::level() {
                    // SAFETY: the level says that this machine has the features the function was compiled for.
                    $crate::host::simd::Level::Avx512 => return unsafe { avx512::<T $(, $c)?>($($arg),*) },
                    // SAFETY: as above.
                    $crate::host::simd::Level::Avx2 => return unsafe { avx2::<T $(, $c)?>($($arg),*) },
                    $crate::host::simd::Level::Portable => {}
                }
            }
            portable::<T $(, $c)?>($($arg),*)
        }
    )*};
}
pub(super) use multiversion;

/// The vectors in use, for people.
pub fn name() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    match level() {
        Level::Avx512 => return "AVX-512",
        Level::Avx2 => return "AVX2",
        Level::Portable => {}
    }
    std::env::consts::ARCH
}
