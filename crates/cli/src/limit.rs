//! Resource limits as they are written on a command line: `memory=1G`, `cpu=30s`.

use execution_engine::Limits;

use crate::{duration, size};

/// One limit, and how it is applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LimitSetting {
    name: LimitName,
    value: u64,
}

/// Defines the names of the limits.
macro_rules! names {
    ($($variant:ident $name:literal,)*) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        enum LimitName { $($variant,)* }

        impl LimitName {
            const ALL: &[(Self, &str)] = &[$((Self::$variant, $name),)*];
        }

        /// The names of all limits, for help.
        #[cfg(test)]
        const NAMES: &[&str] = &[$($name,)*];
    };
}

names! {
    Memory "memory",
    Processes "processes",
    Cpu "cpu",
    AddressSpace "address-space",
    OpenFiles "open-files",
    FileSize "file-size",
    UserProcesses "user-processes",
    Core "core",
    Nice "nice",
    Umask "umask",
}

/// Reads `NAME=VALUE`.
///
/// # Errors
/// What is wrong with it, and how one is written.
pub(crate) fn parse(text: &str) -> Result<LimitSetting, String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE, such as memory=1G")?;
    let known = LimitName::ALL.iter().find(|(_, known)| *known == name);
    let Some((name, _)) = known else {
        let names: Vec<_> = LimitName::ALL.iter().map(|(_, name)| *name).collect();
        return Err(format!("there is no limit {name:?}; the limits are {}", names.join(", ")));
    };
    let value = name.value(value)?;
    Ok(LimitSetting { name: *name, value })
}

impl LimitName {
    fn value(self, text: &str) -> Result<u64, String> {
        let number = |example: &str| {
            text.parse().map_err(|_| format!("{text:?} is not a number; write {example}"))
        };
        match self {
            Self::Memory | Self::AddressSpace | Self::FileSize | Self::Core => size::parse(text),
            Self::Processes => number("processes=100"),
            Self::UserProcesses => number("user-processes=1000"),
            Self::OpenFiles => number("open-files=256"),
            Self::Cpu => {
                let time = duration::parse_positive(text)?;
                // The system counts whole seconds.
                Ok(time.as_secs() + u64::from(time.subsec_nanos() > 0))
            }
            Self::Nice => {
                let nice = text.parse::<i32>().ok().filter(|nice| (-20..=19).contains(nice));
                let nice = nice.ok_or_else(|| format!("{text:?} is not between -20 and 19"))?;
                Ok(u64::from(nice.cast_unsigned()))
            }
            Self::Umask => {
                let mask = u64::from_str_radix(text, 8).ok().filter(|mask| *mask <= 0o777);
                mask.ok_or_else(|| format!("{text:?} is not an octal mask such as 077"))
            }
        }
    }
}

impl LimitSetting {
    /// Returns the limits with this one set.
    pub(crate) fn apply(self, limits: Limits) -> Limits {
        let value = self.value;
        // Both fit, as they were read.
        let small = u32::try_from(value).unwrap_or(u32::MAX);
        match self.name {
            LimitName::Memory => limits.tree_memory_bytes(value),
            LimitName::Processes => limits.tree_processes(value),
            LimitName::Cpu => limits.cpu_seconds(value),
            LimitName::AddressSpace => limits.address_space_bytes(value),
            LimitName::OpenFiles => limits.open_files(value),
            LimitName::FileSize => limits.file_size_bytes(value),
            LimitName::UserProcesses => limits.processes(value),
            LimitName::Core => limits.core_bytes(value),
            LimitName::Nice => limits.nice(small.cast_signed()),
            LimitName::Umask => limits.umask(small),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(text: &str) -> Limits {
        parse(text).unwrap().apply(Limits::default())
    }

    #[test]
    fn limits_are_read_in_their_units() {
        let none = Limits::default;
        assert_eq!(limits("memory=1G"), none().tree_memory_bytes(1 << 30));
        assert_eq!(limits("processes=8"), none().tree_processes(8));
        assert_eq!(limits("cpu=1500ms"), none().cpu_seconds(2));
        assert_eq!(limits("cpu=2m"), none().cpu_seconds(120));
        assert_eq!(limits("address-space=2G"), none().address_space_bytes(2 << 30));
        assert_eq!(limits("open-files=64"), none().open_files(64));
        assert_eq!(limits("file-size=1K"), none().file_size_bytes(1024));
        assert_eq!(limits("user-processes=9"), none().processes(9));
        assert_eq!(limits("core=0"), none().core_bytes(0));
        assert_eq!(limits("nice=-5"), none().nice(-5));
        assert_eq!(limits("umask=077"), none().umask(0o077));
    }

    #[test]
    fn mistakes_are_refused_with_the_fix() {
        assert!(parse("memory").unwrap_err().contains("memory=1G"));
        let unknown = parse("ram=1G").unwrap_err();
        assert!(NAMES.iter().all(|name| unknown.contains(name)), "{unknown}");
        for text in ["memory=x", "cpu=5", "cpu=0s", "nice=20", "umask=8", "umask=7777", "core="] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
