//! Dependency graph of steps by index, free of cycles. Pure. Our own and not a crate's, because the
//! error shows the exact cycle, and nothing else of a graph library is needed.

/// Dependencies of a plan, without cycles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Graph {
    nodes: Box<[Node]>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Node {
    /// Number of nodes it waits for.
    waits_for: usize,
    /// Nodes that wait for it.
    dependents: Vec<usize>,
}

/// Reason why dependencies are no such graph.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// A node waits for itself.
    SelfEdge(usize),
    /// Each waits for the next one, and the last one for the first.
    Cycle(Vec<usize>),
}

impl Graph {
    /// Creates the graph from what each node waits for. Naming a node twice changes nothing.
    ///
    /// Every index must be below the number of nodes.
    pub(super) fn new(mut waits_for: Vec<Vec<usize>>) -> Result<Self, Fault> {
        let mut nodes = vec![Node::default(); waits_for.len()];
        for (index, dependencies) in waits_for.iter_mut().enumerate() {
            dependencies.sort_unstable();
            dependencies.dedup();
            if dependencies.contains(&index) {
                return Err(Fault::SelfEdge(index));
            }
            nodes[index].waits_for = dependencies.len();
            dependencies.iter().for_each(|&dependency| nodes[dependency].dependents.push(index));
        }
        let graph = Self { nodes: nodes.into_boxed_slice() };
        match graph.unreachable().and_then(|stuck| find_cycle(&waits_for, &stuck)) {
            None => Ok(graph),
            Some(path) => Err(Fault::Cycle(path)),
        }
    }

    pub(super) fn waits_for(&self, node: usize) -> usize {
        self.nodes[node].waits_for
    }

    pub(super) fn dependents(&self, node: usize) -> &[usize] {
        &self.nodes[node].dependents
    }

    /// Returns which nodes would never start, because they are part of a cycle or wait for one;
    /// `None` if there are none. Takes away nodes that wait for nothing, until none is left (Kahn's
    /// algorithm).
    fn unreachable(&self) -> Option<Vec<bool>> {
        let mut open: Vec<usize> = self.nodes.iter().map(|node| node.waits_for).collect();
        let mut free: Vec<usize> = (0..open.len()).filter(|&node| open[node] == 0).collect();
        let mut left = open.len();
        while let Some(node) = free.pop() {
            left -= 1;
            for &dependent in self.dependents(node) {
                open[dependent] -= 1;
                if open[dependent] == 0 {
                    free.push(dependent);
                }
            }
        }
        (left > 0).then(|| open.into_iter().map(|count| count > 0).collect())
    }
}

/// Finds a cycle among the nodes that would never start. Each of them waits for another one of
/// them, so a walk along these comes to a node that it has met before; what leads to that node is
/// cut off.
fn find_cycle(waits_for: &[Vec<usize>], stuck: &[bool]) -> Option<Vec<usize>> {
    let mut node = stuck.iter().position(|stuck| *stuck)?;
    let mut path = Vec::new();
    let mut met_at = vec![None; stuck.len()];
    while met_at[node].is_none() {
        met_at[node] = Some(path.len());
        path.push(node);
        node = waits_for[node].iter().copied().find(|&dependency| stuck[dependency])?;
    }
    Some(path.split_off(met_at[node]?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_edges() -> impl Strategy<Value = Vec<Vec<usize>>> {
        (1..12usize).prop_flat_map(|nodes| {
            prop::collection::vec(prop::collection::vec(0..nodes, 0..3), nodes)
        })
    }

    /// Returns `true` if `from` waits for `to`, directly or through others.
    fn reaches(waits_for: &[Vec<usize>], from: usize, to: usize) -> bool {
        let mut seen = vec![false; waits_for.len()];
        let mut open = waits_for[from].clone();
        while let Some(node) = open.pop() {
            if node == to {
                return true;
            }
            if !std::mem::replace(&mut seen[node], true) {
                open.extend(&waits_for[node]);
            }
        }
        false
    }

    proptest! {
        #[test]
        fn a_cycle_is_found_if_there_is_one(waits_for in any_edges()) {
            let nodes = 0..waits_for.len();
            match Graph::new(waits_for.clone()) {
                Ok(graph) => {
                    prop_assert!(nodes.clone().all(|node| !reaches(&waits_for, node, node)));
                    for node in nodes {
                        for &dependent in graph.dependents(node) {
                            prop_assert!(waits_for[dependent].contains(&node));
                        }
                    }
                }
                Err(Fault::SelfEdge(node)) => prop_assert!(waits_for[node].contains(&node)),
                Err(Fault::Cycle(path)) => {
                    prop_assert!(path.len() > 1);
                    for (at, node) in path.iter().enumerate() {
                        let next = path[(at + 1) % path.len()];
                        prop_assert!(waits_for[*node].contains(&next), "{node} -> {next}");
                    }
                }
            }
        }
    }

    #[test]
    fn the_cycle_is_shown_without_what_only_leads_to_it() {
        let waits_for = vec![vec![1], vec![2], vec![3], vec![1]];
        assert_eq!(Graph::new(waits_for), Err(Fault::Cycle(vec![1, 2, 3])));
    }

    #[test]
    fn naming_a_dependency_twice_changes_nothing() {
        let twice = Graph::new(vec![vec![], vec![0, 0]]).unwrap();
        assert_eq!(twice, Graph::new(vec![vec![], vec![0]]).unwrap());
        assert_eq!(twice.waits_for(1), 1);
    }
}
