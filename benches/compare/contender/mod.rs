//! The contenders, one file each.

pub mod async_process;
pub mod duct;
pub mod engine;
pub mod tokio;

/// The contenders in the order of the columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contender {
    Floor,
    Tokio,
    Duct,
    AsyncProcess,
    Engine,
    /// The engine in another setting, for comparison.
    Reference,
}

impl Contender {
    pub const COLUMNS: [Self; 5] =
        [Self::Floor, Self::Tokio, Self::Duct, Self::AsyncProcess, Self::Engine];

    /// Returns the contender with this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::COLUMNS.into_iter().find(|contender| contender.name() == name)
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Floor => "floor",
            Self::Tokio => "raw tokio",
            Self::Duct => "duct",
            Self::AsyncProcess => "async-process",
            Self::Engine => "engine",
            Self::Reference => "reference",
        }
    }
}
