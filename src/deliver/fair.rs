//! The order of the work that waits for one site: equal shares for projects, and in each the urgent first, nobody never.
//!
//! Answers: which piece of work is next. Projects take turns by what they were given so far, counted in recipients, so that neither
//! many messages nor a high priority of one takes anything from another; who comes back after a pause begins level with the others and
//! has saved nothing up. Within a project high goes before normal and normal before bulk, but a priority that was passed over
//! [`PATIENCE`] times goes next.
//! Does not: know sites, sessions or limits. Pure.

use std::collections::{BTreeSet, HashMap, VecDeque};

use crate::model::ProjectId;
use crate::model::message::Priority;

/// How often normal and bulk mail of a project may be passed over: with all three waiting, of 21 turns 16 are high, 4 normal, 1 bulk.
const PATIENCE: [u32; 3] = [0, 4, 16];
/// How far back in a line one looks for work that fits an open session.
const REACH: usize = 64;

/// What can wait.
pub trait Work {
    /// Whose it is.
    fn project(&self) -> ProjectId;
    /// How urgent it is.
    fn priority(&self) -> Priority;
    /// What it takes of its project's share: its recipients.
    fn cost(&self) -> u64;
}

/// Work in line.
#[derive(Debug)]
pub struct FairQueue<W> {
    flows: HashMap<ProjectId, Flow<W>>,
    /// Projects with work, by what they were given.
    order: BTreeSet<(u64, ProjectId)>,
    /// What the project served last had been given before: where newcomers begin.
    level: u64,
    len: usize,
}

#[derive(Debug)]
struct Flow<W> {
    given: u64,
    lanes: [VecDeque<W>; 3],
    passed: [u32; 3],
}

impl<W> Default for FairQueue<W> {
    fn default() -> Self {
        Self { flows: HashMap::new(), order: BTreeSet::new(), level: 0, len: 0 }
    }
}

impl<W> Flow<W> {
    fn new(given: u64) -> Self {
        Self { given, lanes: [VecDeque::new(), VecDeque::new(), VecDeque::new()], passed: [0; 3] }
    }

    fn len(&self) -> usize {
        self.lanes.iter().map(VecDeque::len).sum()
    }

    /// The lane whose turn it is: the first that waited too long, else the most urgent with work.
    fn turn(&self) -> Option<usize> {
        let waiting = || (0..3).filter(|lane| self.lanes.get(*lane).is_some_and(|line| !line.is_empty()));
        let overdue = |lane: &usize| self.passed.get(*lane) >= PATIENCE.get(*lane) && *lane > 0;
        waiting().rev().find(overdue).or_else(|| waiting().next())
    }

    fn take(&mut self, fits: impl Fn(&W) -> bool) -> Option<W> {
        let turn = self.turn()?;
        for (lane, line) in self.lanes.iter().enumerate() {
            if let Some(passed) = self.passed.get_mut(lane) {
                *passed = if lane == turn || line.is_empty() { 0 } else { passed.saturating_add(1) };
            }
        }
        let line = self.lanes.get_mut(turn)?;
        let place = line.iter().take(REACH).position(fits).unwrap_or(0);
        line.remove(place)
    }
}

impl<W: Work> FairQueue<W> {
    /// Pieces of work that wait.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// True if none waits.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds work at the end of its line.
    pub fn push(&mut self, work: W) {
        self.line_of(&work).push_back(work);
    }

    /// Puts work back to the front of its line. Its project is given back what it paid, and no more: nobody gets ahead by it.
    pub fn push_front(&mut self, work: W) {
        let (project, cost, level) = (work.project(), work.cost().max(1), self.level);
        self.line_of(&work).push_front(work);
        if let Some(flow) = self.flows.get_mut(&project) {
            self.order.remove(&(flow.given, project));
            flow.given = flow.given.min(level).max(flow.given.saturating_sub(cost));
            self.order.insert((flow.given, project));
        }
    }

    fn line_of(&mut self, work: &W) -> &mut VecDeque<W> {
        let (project, level) = (work.project(), self.level);
        let flow = self.flows.entry(project).or_insert_with(|| {
            self.order.insert((level, project));
            Flow::new(level)
        });
        self.len += 1;
        let [high, normal, bulk] = &mut flow.lanes;
        match work.priority() {
            Priority::High => high,
            Priority::Normal => normal,
            Priority::Bulk => bulk,
        }
    }

    /// Takes the next piece of work. Of its line one that `fits` is preferred to those before it.
    pub fn pop(&mut self, fits: impl Fn(&W) -> bool) -> Option<W> {
        let (given, project) = self.order.pop_first()?;
        let flow = self.flows.get_mut(&project)?;
        let work = flow.take(fits)?;
        self.level = given;
        self.len -= 1;
        flow.given = given.saturating_add(work.cost().max(1));
        if flow.len() == 0 {
            self.flows.remove(&project);
        } else {
            self.order.insert((flow.given, project));
        }
        Some(work)
    }

    /// Takes work out until `room` pieces are left: of the project with the most, the least urgent, the last.
    pub fn shed(&mut self, room: usize) -> Vec<W> {
        let mut out = Vec::new();
        while self.len > room {
            let Some((project, flow)) = self.flows.iter_mut().max_by_key(|(_, flow)| flow.len()) else { break };
            let Some(work) = flow.lanes.iter_mut().rev().find_map(VecDeque::pop_back) else { break };
            out.push(work);
            self.len -= 1;
            if flow.len() == 0 {
                let place = (flow.given, *project);
                self.order.remove(&place);
                self.flows.remove(&place.1);
            }
        }
        out
    }

    /// Takes out all work that `is_meant`.
    pub fn take_where(&mut self, is_meant: impl Fn(&W) -> bool) -> Vec<W> {
        let mut out = Vec::new();
        for flow in self.flows.values_mut() {
            for line in &mut flow.lanes {
                // Looked at first: mostly nothing is meant, and lines are long.
                if !line.iter().any(&is_meant) {
                    continue;
                }
                let (meant, left): (VecDeque<W>, VecDeque<W>) = std::mem::take(line).into_iter().partition(&is_meant);
                *line = left;
                out.extend(meant);
            }
        }
        self.len -= out.len();
        let order = &mut self.order;
        self.flows.retain(|project, flow| {
            let keeps = flow.len() > 0;
            if !keeps {
                order.remove(&(flow.given, *project));
            }
            keeps
        });
        out
    }

    /// The work that waits, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &W> {
        self.flows.values().flat_map(|flow| flow.lanes.iter().flatten())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    struct Piece(u128, Priority, u64, u32);

    impl Work for Piece {
        fn project(&self) -> ProjectId {
            ProjectId::from_uuid(uuid::Uuid::from_u128(self.0))
        }

        fn priority(&self) -> Priority {
            self.1
        }

        fn cost(&self) -> u64 {
            self.2
        }
    }

    fn queue(pieces: impl IntoIterator<Item = Piece>) -> FairQueue<Piece> {
        let mut queue = FairQueue::default();
        pieces.into_iter().for_each(|piece| queue.push(piece));
        queue
    }

    fn many(project: u128, priority: Priority, cost: u64, count: u32) -> impl Iterator<Item = Piece> {
        (0..count).map(move |number| Piece(project, priority, cost, number))
    }

    fn popped(queue: &mut FairQueue<Piece>, count: usize) -> Vec<Piece> {
        std::iter::from_fn(|| queue.pop(|_| true)).take(count).collect()
    }

    #[test]
    fn the_urgent_goes_first_and_nobody_waits_for_ever() {
        let priorities = [Priority::Bulk, Priority::Normal, Priority::High];
        let mut few = queue(priorities.map(|priority| Piece(1, priority, 1, 0)));
        assert_eq!(popped(&mut few, 3).iter().map(|piece| piece.1).collect::<Vec<_>>(), [Priority::High, Priority::Normal, Priority::Bulk]);
        let mut full = queue(priorities.into_iter().flat_map(|priority| many(1, priority, 1, 200)));
        let served = popped(&mut full, 210);
        let share = |priority| served.iter().filter(|piece| piece.1 == priority).count();
        assert!(share(Priority::High) >= 150 && share(Priority::Normal) >= 35 && share(Priority::Bulk) >= 9, "{served:?}");
        let line: Vec<_> = served.iter().filter(|piece| piece.1 == Priority::Bulk).map(|piece| piece.3).collect();
        assert!(line.is_sorted(), "a line keeps its order");
    }

    #[test]
    fn projects_have_equal_shares_whatever_their_priority_and_their_number_of_recipients() {
        let mut queue = queue(many(1, Priority::High, 1, 500).chain(many(2, Priority::Bulk, 1, 500)).chain(many(3, Priority::Normal, 10, 500)));
        let served = popped(&mut queue, 210);
        let share = |project| served.iter().filter(|piece| piece.0 == project).map(|piece| piece.2).sum::<u64>();
        assert!([1, 2, 3].iter().all(|project| (90..=110).contains(&share(*project))), "{} {} {}", share(1), share(2), share(3));
    }

    #[test]
    fn a_newcomer_is_served_soon_and_has_nothing_saved_up() {
        let mut queue = queue(many(1, Priority::Bulk, 1, 1_000));
        popped(&mut queue, 500);
        many(2, Priority::Normal, 1, 10).for_each(|piece| queue.push(piece));
        let served = popped(&mut queue, 10);
        assert!((4..=6).contains(&served.iter().filter(|piece| piece.0 == 2).count()), "{served:?}");
    }

    #[test]
    fn work_that_fits_is_preferred_and_work_put_back_is_first_again() {
        let mut queue = queue(many(1, Priority::Normal, 1, 100));
        let fitting = queue.pop(|piece| piece.3 == 7).unwrap();
        assert_eq!(fitting.3, 7);
        queue.push_front(fitting);
        assert_eq!(queue.pop(|_| true).map(|piece| piece.3), Some(7));
        assert_eq!(queue.pop(|piece| piece.3 == 99).map(|piece| piece.3), Some(0), "too far back");
        assert_eq!(queue.len(), 98);
    }

    #[test]
    fn who_has_work_put_back_in_parts_pays_for_it_once() {
        let mut queue = queue(many(1, Priority::Normal, 10, 50).chain(many(2, Priority::Normal, 10, 50)));
        let mut served = [0, 0];
        for _ in 0..220 {
            let Some(mut piece) = queue.pop(|_| true) else { break };
            if piece.0 == 1 && piece.2 > 1 {
                (1..piece.2).for_each(|_| queue.push_front(Piece(1, piece.1, 1, piece.3)));
                piece.2 = 1;
            }
            served[usize::from(piece.0 == 2)] += piece.2;
        }
        assert!(served[0] >= 150 && served[0].abs_diff(served[1]) <= 20, "{served:?}");
        // A line of its own that was emptied and comes back begins level with the others.
        let mut few = FairQueue::default();
        many(2, Priority::Normal, 1, 100).for_each(|piece| few.push(piece));
        popped(&mut few, 50);
        few.push(Piece(1, Priority::Normal, 40, 0));
        let whole = popped(&mut few, 2).into_iter().find(|piece| piece.0 == 1).unwrap();
        (0..whole.2).for_each(|_| few.push_front(Piece(1, Priority::Normal, 1, 0)));
        let share = popped(&mut few, 20).iter().filter(|piece| piece.0 == 1).count();
        assert!((8..=12).contains(&share), "{share} of 20");
    }

    #[test]
    fn what_has_no_room_is_taken_from_who_has_the_most() {
        let mut queue = queue(many(1, Priority::High, 1, 3).chain(many(1, Priority::Bulk, 1, 20)).chain(many(2, Priority::Normal, 1, 3)));
        let out = queue.shed(6);
        assert_eq!((out.len(), queue.len()), (20, 6));
        assert!(out.iter().all(|piece| piece.0 == 1 && piece.1 == Priority::Bulk), "{out:?}");
        assert_eq!(queue.take_where(|piece| piece.0 == 1).len(), 3);
        assert_eq!((queue.len(), popped(&mut queue, 9).len(), queue.is_empty()), (3, 3, true));
        assert_eq!(queue.iter().count(), 0);
        assert!(queue.shed(0).is_empty() && queue.pop(|_| true).is_none());
    }
}
