//! The steps of a worker, its program and its keeper.

use crate::system::{Faults, Phase, System, Ticket, Way, Worker, back, some};
use crate::view::{Begun, Entry, Folded, Known, View};

impl Worker {
    fn is_new(&self) -> bool {
        self.phase == Phase::Idle && self.leased && self.lives
    }

    /// The process ends and forgets all.
    fn end(&mut self) {
        self.lives = false;
        self.phase = Phase::Idle;
        self.view = View::default();
    }
}

impl System {
    pub(crate) fn deliver(&mut self, at: usize) -> Option<()> {
        // The workers are alike: the first delivery of all is to the first.
        if at == 1 && self.log.is_empty() && self.late.is_none() && self.workers[0].is_new() {
            return None;
        }
        let worker = &mut self.workers[at];
        let may = self.ticket == Ticket::Waiting && worker.phase == Phase::Idle && worker.leased;
        may.then(|| {
            self.ticket = Ticket::Delivered;
            worker.phase = Phase::Got;
        })
    }

    /// The servers deliver again while a worker has the ticket.
    pub(crate) fn redeliver(&mut self) -> Option<()> {
        let is_delivered = self.ticket == Ticket::Delivered;
        is_delivered.then(|| self.ticket = Ticket::Waiting)
    }

    pub(crate) fn read(&mut self, at: usize, folded: &Folded) -> Option<()> {
        let worker = &mut self.workers[at];
        if !matches!(worker.phase, Phase::Got | Phase::Claimed) || !worker.leased {
            return None;
        }
        worker.view.read(&self.log);
        let Known { ending, running, next_attempt, .. } = folded.of(&worker.view);
        worker.phase = match (running, ending, next_attempt) {
            (Some(begun), Some(_), _) if begun.worker == at => Phase::Reports(begun),
            (Some(begun), None, _) if begun.worker == at => Phase::Ready(begun),
            (None, Some(_), _) => Phase::Settles,
            (None, None, Some(attempt)) => Phase::Free(attempt),
            // Another one runs it: this ticket comes again later.
            _ => {
                self.ticket = back(self.ticket);
                worker.view = View::default();
                Phase::Idle
            }
        };
        Some(())
    }

    pub(crate) fn claim(&mut self, at: usize, way: Way) -> Option<()> {
        let worker = &self.workers[at];
        let Phase::Free(attempt) = worker.phase else { return None };
        if !worker.leased {
            return None;
        }
        let (expected, entry) = (worker.view.last_seq(), Entry::Claim { attempt, worker: at });
        let holds = expected == self.log.len() as u64;
        match way {
            Way::Late => self.send_late(entry, Some(expected))?,
            Way::Slips if holds || self.slipped => return None,
            Way::Slips => {
                self.slipped = true;
                self.log.push(entry);
            }
            _ if holds => self.log.push(entry),
            _ => {
                self.workers[at].phase = Phase::Got;
                return Some(());
            }
        }
        self.workers[at].phase = Phase::Claimed;
        Some(())
    }

    /// Starts the program. That the lease is held was checked before, and the worker may have been
    /// stopped since.
    pub(crate) fn start(&mut self, at: usize) -> Option<()> {
        let Phase::Ready(begun) = self.workers[at].phase else { return None };
        self.overlapped |= self.workers.iter().any(|worker| worker.program.is_some());
        self.workers[at].program = Some(self.started.len());
        self.started.push(begun);
        self.workers[at].phase = Phase::Runs(begun);
        Some(())
    }

    pub(crate) fn write(&mut self, at: usize) -> Option<()> {
        let number = self.workers[at].program?;
        let Begun { attempt, fence, .. } = self.started[number];
        let register = &mut self.register;
        if fence < register.fence {
            return None;
        }
        let writer = (attempt, number);
        register.is_stale |= writer < register.writer;
        register.fence = fence;
        register.writer = writer;
        Some(())
    }

    pub(crate) fn exit(&mut self, at: usize) -> Option<()> {
        let worker = &mut self.workers[at];
        let Phase::Runs(begun) = worker.phase else { return None };
        worker.program = None;
        worker.phase = Phase::Reports(begun);
        Some(())
    }

    /// The worker looks whether what it runs is cancelled, and stops it.
    pub(crate) fn watch(&mut self, at: usize, folded: &Folded) -> Option<()> {
        let worker = &mut self.workers[at];
        if !matches!(worker.phase, Phase::Runs(_)) {
            return None;
        }
        let mut view = worker.view.clone();
        view.read(&self.log);
        folded.of(&view).ending?;
        worker.view = view;
        self.exit(at)
    }

    pub(crate) fn report(&mut self, at: usize, way: Way) -> Option<()> {
        let Phase::Reports(begun) = self.workers[at].phase else { return None };
        self.append(Entry::End(begun), way)?;
        if way == Way::Answered {
            self.workers[at].phase = Phase::Settles;
        }
        Some(())
    }

    pub(crate) fn settle(&mut self, at: usize) -> Option<()> {
        let worker = &mut self.workers[at];
        (worker.phase == Phase::Settles).then(|| {
            worker.phase = Phase::Idle;
            worker.view = View::default();
            self.ticket = Ticket::Removed;
        })
    }

    /// The process of the worker is killed. Without a program that is as the deadline.
    pub(crate) fn crash(&mut self, at: usize) -> Option<()> {
        let worker = &mut self.workers[at];
        worker.program?;
        worker.end();
        Some(())
    }

    /// The lease is over: the keeper kills.
    pub(crate) fn deadline(&mut self, at: usize, faults: Faults) -> Option<()> {
        let worker = &mut self.workers[at];
        worker.leased.then(|| {
            worker.leased = false;
            worker.program = None;
            if !faults.sparing_keeper {
                worker.end();
            }
        })
    }

    pub(crate) fn absent(&mut self, at: usize) -> Option<()> {
        let worker = &mut self.workers[at];
        // The servers count on while a machine is frozen.
        if worker.leased && !worker.frozen { None } else { some(&mut worker.present, false) }
    }
}
