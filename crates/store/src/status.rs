//! Numbers of statuses in the database.

use execution_engine::ExecutionStatus;

/// Number of statuses.
pub(crate) const STATUSES: usize = 7;

/// Statuses in the order of their numbers. The numbers are in databases: never change one.
const ALL: [ExecutionStatus; STATUSES] = [
    ExecutionStatus::Pending,
    ExecutionStatus::Running,
    ExecutionStatus::Completed,
    ExecutionStatus::Failed,
    ExecutionStatus::Cancelled,
    ExecutionStatus::Timeout,
    ExecutionStatus::Lost,
];

/// Returns the number of a status. One that is not known counts as failed.
pub(crate) fn number(status: ExecutionStatus) -> i64 {
    let place = ALL.iter().position(|known| *known == status);
    place.map_or(3, |place| place as i64)
}

/// Returns the status with a number.
pub(crate) fn of_number(number: i64) -> ExecutionStatus {
    let place = usize::try_from(number).unwrap_or(usize::MAX);
    ALL.get(place).copied().unwrap_or(ExecutionStatus::Failed)
}

/// Returns the numbers of all statuses.
pub(crate) fn numbers() -> std::ops::Range<i64> {
    0..STATUSES as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_never_change() {
        let all = numbers().map(of_number).map(|status| status.to_string()).collect::<Vec<_>>();
        let known = ["pending", "running", "completed", "failed", "cancelled", "timeout", "lost"];
        assert_eq!(all, known);
        for number_of in numbers() {
            assert_eq!(number(of_number(number_of)), number_of);
        }
    }
}
