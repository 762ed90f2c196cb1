//! Which device is asked for: `auto`, `host`, `list`, `vulkan`, `vulkan:1`, `metal`, `dx12`.

use std::fmt;
use std::str::FromStr;

/// A graphics interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// Linux, Windows, Android.
    Vulkan,
    /// Apple.
    Metal,
    /// Windows.
    Dx12,
}

/// What `--device` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceChoice {
    /// A hardware GPU; the host where there is none.
    Auto,
    /// The processor.
    Host,
    /// None: show what there is.
    List,
    /// A GPU behind this interface: the one with this number, or the first.
    Gpu(Backend, Option<usize>),
}

const HINT: &str = "must be auto, host, list, vulkan, metal or dx12, or one of several GPUs such as vulkan:1";

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<DeviceChoice, String> {
        let (name, index) = match text.split_once(':') {
            Some((name, index)) => (name, Some(index.parse::<usize>().map_err(|_| HINT)?)),
            None => (text, None),
        };
        match (name, index) {
            ("auto", None) => Ok(DeviceChoice::Auto),
            ("host", None) => Ok(DeviceChoice::Host),
            ("list", None) => Ok(DeviceChoice::List),
            ("vulkan", index) => Ok(DeviceChoice::Gpu(Backend::Vulkan, index)),
            ("metal", index) => Ok(DeviceChoice::Gpu(Backend::Metal, index)),
            ("dx12", index) => Ok(DeviceChoice::Gpu(Backend::Dx12, index)),
            _ => Err(HINT.into()),
        }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            DeviceChoice::Auto => "auto",
            DeviceChoice::Host => "host",
            DeviceChoice::List => "list",
            DeviceChoice::Gpu(Backend::Vulkan, _) => "vulkan",
            DeviceChoice::Gpu(Backend::Metal, _) => "metal",
            DeviceChoice::Gpu(Backend::Dx12, _) => "dx12",
        };
        match self {
            DeviceChoice::Gpu(_, Some(index)) => write!(f, "{name}:{index}"),
            _ => f.write_str(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spelling_and_back() {
        for text in ["auto", "host", "list", "vulkan", "vulkan:0", "vulkan:12", "metal", "dx12:1"] {
            assert_eq!(text.parse::<DeviceChoice>().unwrap().to_string(), text);
        }
        for text in ["", "cuda", "host:0", "auto:1", "vulkan:", "vulkan:-1", "vulkan:a", "vulkan:0:1", "Vulkan"] {
            assert_eq!(text.parse::<DeviceChoice>(), Err(HINT.to_string()), "{text}");
        }
    }
}
